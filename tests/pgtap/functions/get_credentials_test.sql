-- Tests functions/get_credentials. Forgeries are in scenarios/forgery.
begin;
select plan(55);

select has_function('integrations', 'get_credentials', array['uuid']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.get_credentials(uuid)'::regprocedure
  ),
  'instance_id uuid',
  'its parameters are called by these names'
);
select function_returns('integrations', 'get_credentials', array['uuid'], 'jsonb');
select function_lang_is('integrations', 'get_credentials', array['uuid'], 'plpgsql');
select volatility_is('integrations', 'get_credentials', array['uuid'], 'volatile');
select is_definer('integrations', 'get_credentials', array['uuid']);
select function_owner_is('integrations', 'get_credentials', array['uuid'], 'integrations_owner');
select tests.executable_by('integrations.get_credentials(uuid)', array['svc_integration']);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active', '{"token": "ta", "n": 1.50}'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active', '{"token": "tb"}'),
          tests.an_instance(tests.tenant_a(), 'new'),
          tests.an_instance(tests.tenant_a(), 'failed', 'error', '{"token": "tf"}'),
          tests.an_instance(tests.tenant_a(), 'disabled', 'disabled'),
          tests.an_instance(tests.tenant_a(), 'revoked', 'revoked');
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a())) $$, 'IN302',
  'credentials are locked', 'get_credentials needs an unlock');
select tests.unchanged('a refused read is no read');

select is(integrations.unlock('kek-1', tests.kek()), 1, 'the key is opened');
select is(
  integrations.get_credentials(instance_id => tests.instance_id(tests.tenant_a())),
  '{"token": "ta", "n": 1.50}'::jsonb, 'the credentials are as they were stored');
select results_eq(
  $$
    select instance_id, actor, detail from tests.audited(tests.tenant_a(), 'credentials_read')
  $$,
  $$
    select tests.instance_id(tests.tenant_a()), 'svc_integration',
           pg_catalog.jsonb_build_object(
             'version', 1, 'key', (tests.active_key(tests.tenant_a())).id)
  $$,
  'the read is audited, with version and key only');
select results_eq(
  $$
    select last_used_at between pg_catalog.now() and pg_catalog.clock_timestamp(),
           updated_at < last_used_at
      from tests.instance(tests.tenant_a())
  $$,
  $$ values (true, true) $$,
  'last_used_at is stamped, updated_at left alone');

select tests.as_superuser();
update integrations.integration_instances
   set last_used_at = pg_catalog.clock_timestamp() - interval '50 seconds',
       updated_at = '2026-01-01 00:00:00+00'
 where tenant_id = tests.tenant_a() and name = 'crm';
create temporary table before on commit drop as
select i.* from tests.instance(tests.tenant_a()) as i;
grant select on pg_temp.before to svc_integration;
select tests.as_service(tests.tenant_a());
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a())) ->> 'token', 'ta',
  'a second read within a minute');
select results_eq(
  'select * from tests.instance(tests.tenant_a())', 'select * from pg_temp.before',
  'leaves the row as it was');
select is(
  (select pg_catalog.count(*) from tests.audited(tests.tenant_a(), 'credentials_read')),
  2::bigint, 'and is audited like every other');
select tests.as_superuser();
update integrations.integration_instances
   set last_used_at = pg_catalog.clock_timestamp() - interval '61 seconds'
 where tenant_id = tests.tenant_a() and name = 'crm';
select tests.as_service(tests.tenant_a());
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a())) ->> 'token', 'ta',
  'a read after a minute');
select results_eq(
  $$ select last_used_at >= pg_catalog.now(), updated_at from tests.instance(tests.tenant_a()) $$,
  $$ values (true, '2026-01-01 00:00:00+00'::timestamptz) $$,
  'stamps it again, and leaves updated_at');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'failed')) ->> 'token', 'tf',
  'an instance in error can be read: to try again');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.get_credentials(null) $$, '22023', null, 'get_credentials refuses null');
select throws_ok(
  $$ select integrations.get_credentials(tests.nobody()) $$, 'IN201',
  'integration instance not found', 'get_credentials does not find an unknown id');
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_b())) $$, 'IN201',
  'integration instance not found', 'get_credentials does not find another tenant''s');
select is(
  tests.answer_about(
    'select integrations.get_credentials(%L)', tests.instance_id(tests.tenant_b())),
  tests.answer_about('select integrations.get_credentials(%L)', tests.nobody()),
  'but for the id, the two answers are the same');
select throws_ok(
  pg_catalog.format(
    'select integrations.get_credentials(%L)', tests.instance_id(tests.tenant_a(), n)),
  'IN202', 'integration instance is disabled or revoked',
  'get_credentials refuses a ' || n || ' instance')
from pg_catalog.unnest(array['disabled', 'revoked']) as n;
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'new')) $$, 'IN301',
  'no credentials are stored', 'get_credentials has nothing for a pending instance');
-- Credentials that cannot be audited are not given: this is a DO block for its subtransaction,
-- which takes the setting back.
select throws_ok(
  $$
    do $do$
    begin
      set local transaction_read_only = on;
      perform integrations.get_credentials(tests.instance_id(tests.tenant_a()));
    end
    $do$
  $$,
  '25006', null, 'get_credentials refuses a read-only transaction');
select throws_ok(
  pg_catalog.format(
    $$
      select integrations.get_credentials(%L)
       where pg_catalog.set_config('integrations.keyring', %L, true) is not null
    $$,
    tests.instance_id(tests.tenant_a()), v.keyring),
  v.sqlstate, null, 'get_credentials refuses ' || v.what)
from (
  values ('a preset key of zeros', 'IN303',
          tests.tenant_a() || '|' || (tests.active_key(tests.tenant_a())).id || '='
            || pg_catalog.repeat('0', 64)),
         ('a keyring of garbage', 'IN302', 'garbage'),
         ('an empty keyring', 'IN302', ''),
         ('the right key in another tenant''s ring', 'IN302',
          tests.tenant_b() || '|' || (tests.active_key(tests.tenant_a())).id || '='
            || pg_catalog.encode(tests.data_key(tests.tenant_a()), 'hex'))
) as v (what, sqlstate, keyring);
select tests.as_service(tests.tenant_b());
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_b())) $$, 'IN302', null,
  'get_credentials finds keys of another tenant locked');
select tests.as_service(null);
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a())) $$, 'IN001', null,
  'get_credentials needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a())) $$, '42501', null,
  'an application may not read credentials');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a())) $$, '42501', null,
  'an administrator may not read credentials');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a())) $$, '42501', null,
  'an auditor may not read credentials');
select tests.unchanged('refused reads leave no trace and change nothing');

-- A key that is gone says so, and is no riddle of the cryptography.
select tests.as_superuser();
update integrations_private.tenant_keys set state = 'retired' where tenant_id = tests.tenant_a();
select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a())) $$, 'IN307',
  'tenant key is destroyed, retired or unknown', 'get_credentials refuses under a retired key');
select tests.as_superuser();
update integrations_private.tenant_keys
   set state = 'destroyed', wrapped = null
 where tenant_id = tests.tenant_a();
do $$
begin
  perform tests.remember();
end
$$;
select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a())) $$, 'IN307',
  'tenant key is destroyed, retired or unknown',
  'get_credentials refuses under a destroyed key, though its bytes are in the keyring');
select tests.unchanged('and the row waits for new credentials');

select * from finish();
rollback;
