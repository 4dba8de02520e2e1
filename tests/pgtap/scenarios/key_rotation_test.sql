-- A second data key, then a second KEK: old rows stay readable, new ones are on the new key.
begin;
select plan(21);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'old', 'active', '{"token": "old"}'),
          tests.an_instance(tests.tenant_a(), 'new');
end
$$;
create temporary table key on commit drop as
select 1 as number, (tests.active_key(tests.tenant_a())).id as id;
grant select, insert on key to svc_integration;

select tests.as_service(tests.tenant_a());
select is(integrations.unlock('kek-1', tests.kek()), 1, 'the first key is opened');
insert into key
select 2, integrations.create_tenant_key('kek-1', tests.kek());
select results_eq(
  $$
    select k.number, t.state::text
      from key as k
           cross join lateral (
             select a.state from tests.active_key(tests.tenant_a()) as a where a.id = k.id
           ) as t
  $$,
  $$ values (2, 'active') $$, 'the second key is the active one');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_a(), 'new'), '{}') $$,
  'IN302', null, 'put_credentials finds it locked: it was made after the unlock');
select tests.unchanged('nothing is stored on the old one instead');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'old')) ->> 'token', 'old',
  'old rows are read all the same');

select is(integrations.unlock('kek-1', tests.kek()), 2, 'both keys are opened');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a(), 'new'), '{"token": "new"}'), 1,
  'new credentials');
select results_eq(
  $$
    select i.name::text, k.number
      from integrations.integration_instances as i
           join key as k on k.id = i.credentials_key_id
     order by k.number
  $$,
  $$ values ('old', 1), ('new', 2) $$, 'are written on the new key');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'old')) ->> 'token', 'old',
  'the old row is read on the old key');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a(), 'old'), '{"token": "newer"}', 1),
  2, 'written again');
select is(
  (tests.instance(tests.tenant_a(), 'old')).credentials_key_id,
  (select k.id from key as k where k.number = 2), 'it moves to the new key');

-- A KEK of its own for the next one.
insert into key
select 3, integrations.create_tenant_key('kek-2', tests.kek(2));
select is(integrations.unlock('kek-2', tests.kek(2)), 1, 'the second KEK opens what it wraps');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a(), 'new'), '{"token": "3"}'), 2,
  'writes go on under the second KEK');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'old')) ->> 'token', 'newer',
  'reads under the first go on: both rings are one');

select tests.as_admin();
select results_eq(
  $$
    select version, kek_id, state, instance_count
      from integrations.key_overview
     where tenant_id = tests.tenant_a()
     order by version
  $$,
  $$
    values (1, 'kek-1', 'decrypt_only', 0::bigint),
           (2, 'kek-1', 'decrypt_only', 1),
           (3, 'kek-2', 'active', 1)
  $$,
  'administrators see how far it has come');

-- A service that has only the second KEK.
select tests.as_service(tests.tenant_a());
do $$
begin
  perform pg_catalog.set_config('integrations.keyring', '', true);
  perform integrations.unlock('kek-2', tests.kek(2));
  perform tests.remember();
end
$$;
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'new')) ->> 'token', '3',
  'reads what is under it');
do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'old')) $$, 'IN302',
  null, 'get_credentials finds the rest locked');
select tests.unchanged('and leaves no trace');

select * from finish();
rollback;
