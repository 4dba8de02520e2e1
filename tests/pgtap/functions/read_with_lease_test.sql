-- Tests functions/read_with_lease. A test is one transaction, in which a lease that it opens cannot
-- be used: so the rows are made to look like those of another. Real ones are in
-- tests/python/api/test_read_leases.py.
begin;
select plan(43);

select has_function('integrations', 'read_with_lease', array['uuid']);
select is(
  pg_catalog.pg_get_function_arguments('integrations.read_with_lease(uuid)'::regprocedure),
  'lease uuid', 'its parameters are called by these names');
select function_returns('integrations', 'read_with_lease', array['uuid'], 'jsonb');
select function_lang_is('integrations', 'read_with_lease', array['uuid'], 'plpgsql');
select volatility_is('integrations', 'read_with_lease', array['uuid'], 'volatile');
select is_definer('integrations', 'read_with_lease', array['uuid']);
select function_owner_is(
  'integrations', 'read_with_lease', array['uuid'], 'integrations_owner');
select tests.executable_by('integrations.read_with_lease(uuid)', array['svc_integration']);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active', '{"token": "ta"}'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active', '{"token": "tb"}');
end
$$;
create temporary table lease (name text, id uuid) on commit drop;
grant select, insert on pg_temp.lease to svc_integration;

select tests.as_service(tests.tenant_a());
insert into pg_temp.lease
select n, integrations.open_read_lease(tests.instance_id(tests.tenant_a()), 'ticket 4711')
  from pg_catalog.unnest(array[
         'this transaction', 'good', 'used', 'expired', 'not begun', 'another login', 'locked',
         'disabled', 'another row''s'
       ]) as n;
do $$
begin
  perform integrations.unlock('kek-1', tests.kek());
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.read_with_lease(l.id) from lease as l where l.name = 'this transaction' $$,
  'IN402', 'read lease is unknown, used, expired, or opened in this transaction',
  'a lease cannot be used in the transaction that opened it');
select throws_ok(
  $test$
    do $$
    begin
      perform integrations.read_with_lease(
        integrations.open_read_lease(tests.instance_id(tests.tenant_a()), 'in a savepoint'));
    end
    $$
  $test$,
  'IN402', null, 'nor in a subtransaction of it');
select tests.unchanged('neither reads anything');

-- As a superuser: as if another transaction had opened them.
select tests.as_superuser();
update integrations_private.read_leases as r
   set opened_by = '3'
  from pg_temp.lease as l
 where l.id = r.id and l.name <> 'this transaction';
update integrations_private.read_leases as r
   set opened_at = r.opened_at - interval '1 minute', expires_at = r.expires_at - interval '1 minute'
  from pg_temp.lease as l
 where l.id = r.id and l.name = 'expired';
update integrations_private.read_leases as r
   set opened_at = r.opened_at + interval '1 hour', expires_at = r.expires_at + interval '1 hour'
  from pg_temp.lease as l
 where l.id = r.id and l.name = 'not begun';
update integrations_private.read_leases as r
   set session_actor = 'somebody else'
  from pg_temp.lease as l
 where l.id = r.id and l.name = 'another login';

select tests.as_service(tests.tenant_a());
select is(
  integrations.read_with_lease(lease => (select l.id from lease as l where l.name = 'good')),
  '{"token": "ta"}'::jsonb, 'a lease of another transaction gives the credentials');
select results_eq(
  $$
    select instance_id, actor, detail from tests.audited(tests.tenant_a(), 'read_lease_used')
  $$,
  $$
    select tests.instance_id(tests.tenant_a()), 'svc_integration',
           pg_catalog.jsonb_build_object('lease', l.id)
      from pg_temp.lease as l where l.name = 'good'
  $$,
  'its use is audited');
select is(
  (select pg_catalog.count(*) from tests.audited(tests.tenant_a(), 'credentials_read')), 1::bigint,
  'and so is the reading');
select ok(
  (tests.instance(tests.tenant_a())).last_used_at is not null, 'and last_used_at is stamped');
do $$
begin
  perform integrations.read_with_lease(l.id) from pg_temp.lease as l where l.name = 'used';
  perform tests.remember();
end
$$;

select throws_ok(
  pg_catalog.format('select integrations.read_with_lease(%L)', l.id), 'IN402',
  'read lease is unknown, used, expired, or opened in this transaction',
  'read_with_lease refuses a lease: ' || l.name)
from pg_temp.lease as l
where l.name in ('good', 'used', 'expired', 'not begun', 'another login');
select throws_ok(
  'select integrations.read_with_lease(tests.nobody())', 'IN402', null,
  'read_with_lease refuses an id that nobody opened');
select throws_ok(
  'select integrations.read_with_lease(null)', '22023', null, 'read_with_lease refuses null');
-- A DO block for its subtransaction, which takes the setting back.
select throws_ok(
  $test$
    do $$
    begin
      set local transaction_read_only = on;
      perform integrations.read_with_lease(tests.nobody());
    end
    $$
  $test$,
  '25006', null, 'read_with_lease refuses a read-only transaction');
select tests.as_service(tests.tenant_b());
select is(
  tests.answer_about('select integrations.read_with_lease(%L)', l.id),
  tests.answer_about('select integrations.read_with_lease(%L)', tests.nobody()),
  'a lease of another tenant is like none at all')
from pg_temp.lease as l
where l.name = 'locked';
select tests.as_service(null);
select throws_ok(
  'select integrations.read_with_lease(tests.nobody())', 'IN001', null,
  'read_with_lease needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  'select integrations.read_with_lease(tests.nobody())', '42501', null,
  'an application may not use a lease');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  'select integrations.read_with_lease(tests.nobody())', '42501', null,
  'nor may an administrator');

select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format(
    $$
      select integrations.read_with_lease(%L)
       where pg_catalog.set_config('integrations.keyring', '', true) is not null
    $$,
    l.id),
  'IN302', null, 'a lease does not take the place of unlock')
from pg_temp.lease as l
where l.name = 'locked';
select tests.unchanged('none of these reads, or uses a lease up');

-- What happens between the opening and the reading counts.
select tests.as_tenant(tests.tenant_a());
select lives_ok(
  $$ select integrations.set_instance_status(tests.instance_id(tests.tenant_a()), 'disabled') $$,
  'the instance is disabled');
select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format('select integrations.read_with_lease(%L)', l.id), 'IN202', null,
  'read_with_lease refuses a disabled instance')
from pg_temp.lease as l
where l.name = 'disabled';
select lives_ok(
  $$ select integrations.delete_instance(tests.instance_id(tests.tenant_a())) $$,
  'an instance with open leases can be deleted');
select throws_ok(
  pg_catalog.format('select integrations.read_with_lease(%L)', l.id), 'IN201', null,
  'and then is not found')
from pg_temp.lease as l
where l.name = 'disabled';

select * from finish();
rollback;
