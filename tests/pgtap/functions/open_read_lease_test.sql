-- Tests functions/open_read_lease.
begin;
select plan(35);

select has_function('integrations', 'open_read_lease', array['uuid', 'text']);
select is(
  pg_catalog.pg_get_function_arguments('integrations.open_read_lease(uuid,text)'::regprocedure),
  'instance_id uuid, reason text', 'its parameters are called by these names');
select function_returns('integrations', 'open_read_lease', array['uuid', 'text'], 'uuid');
select function_lang_is('integrations', 'open_read_lease', array['uuid', 'text'], 'plpgsql');
select volatility_is('integrations', 'open_read_lease', array['uuid', 'text'], 'volatile');
select is_definer('integrations', 'open_read_lease', array['uuid', 'text']);
select function_owner_is(
  'integrations', 'open_read_lease', array['uuid', 'text'], 'integrations_owner');
select tests.executable_by(
  'integrations.open_read_lease(uuid,text)', array['svc_integration']);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active'),
          tests.an_instance(tests.tenant_a(), 'new'),
          tests.an_instance(tests.tenant_a(), 'disabled', 'disabled'),
          tests.an_instance(tests.tenant_a(), 'revoked', 'revoked');
end
$$;

select tests.as_service(tests.tenant_a());
create temporary table lease on commit drop as
select integrations.open_read_lease(
         instance_id => tests.instance_id(tests.tenant_a()), reason => 'ticket 4711') as id;
select results_eq(
  $$
    select instance_id, actor, detail from tests.audited(tests.tenant_a(), 'read_lease_opened')
  $$,
  $$
    select tests.instance_id(tests.tenant_a()), 'svc_integration',
           pg_catalog.jsonb_build_object('lease', l.id, 'version', 1, 'reason', 'ticket 4711')
      from pg_temp.lease as l
  $$,
  'the opening is audited, with its reason');
select is_empty(
  $$ select * from tests.audited(tests.tenant_a(), 'credentials_read') $$,
  'nothing was read: it needs no unlock either');
select tests.as_superuser();
select results_eq(
  $$
    select l.tenant_id, l.id, l.instance_id, l.session_actor, l.opened_by,
           l.opened_at between pg_catalog.now() and pg_catalog.clock_timestamp(),
           l.expires_at - l.opened_at
      from integrations_private.read_leases as l
  $$,
  $$
    select tests.tenant_a(), l.id, tests.instance_id(tests.tenant_a()), session_user::text collate "default",
           pg_catalog.pg_current_xact_id(), true, interval '1 minute'
      from pg_temp.lease as l
  $$,
  'the lease is of this tenant, login and transaction, and lasts a minute');

-- As a superuser: leases that nobody used, of both tenants.
update integrations_private.read_leases
   set opened_at = '2026-01-01 00:00:00+00', expires_at = '2026-01-01 00:01:00+00';
insert into integrations_private.read_leases
  (tenant_id, instance_id, session_actor, opened_by, opened_at, expires_at)
select t, tests.nobody(), 'x', '3', '2026-01-01 00:00:00+00',
       '2026-01-02 00:00:00+00'::timestamptz + n * interval '1 second'
  from pg_catalog.unnest(array[tests.tenant_a(), tests.tenant_b()]) as t
       cross join pg_catalog.generate_series(1, 120) as n;
select tests.as_service(tests.tenant_a());
select isnt(
  integrations.open_read_lease(tests.instance_id(tests.tenant_a()), 'again'), l.id,
  'the next lease is another one')
from pg_temp.lease as l;
select tests.as_superuser();
select results_eq(
  $$
    select l.tenant_id, pg_catalog.count(*),
           pg_catalog.count(*) filter (where l.expires_at > pg_catalog.now())
      from integrations_private.read_leases as l
     group by l.tenant_id
     order by l.tenant_id
  $$,
  $$ values (tests.tenant_a(), 22::bigint, 1::bigint), (tests.tenant_b(), 120, 0) $$,
  'a hundred of the tenant''s old leases are gone, the oldest first');

do $$
begin
  perform tests.remember();
end
$$;
select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format(
    'select integrations.open_read_lease(tests.instance_id(tests.tenant_a()), %L)', v.reason),
  '22023', null, 'open_read_lease refuses ' || v.what)
from (
  values ('no reason', null),
         ('an empty reason', ''),
         ('a blank reason', E' \n'),
         ('a reason of 1001 characters', pg_catalog.repeat('r', 1001))
) as v (what, reason);
select throws_ok(
  $$ select integrations.open_read_lease(null, 'why') $$, '22023', null,
  'open_read_lease refuses null');
select throws_ok(
  $$ select integrations.open_read_lease(tests.nobody(), 'why') $$, 'IN201',
  'integration instance not found', 'open_read_lease does not find an unknown id');
select is(
  tests.answer_about(
    $$ select integrations.open_read_lease(%L, 'why') $$, tests.instance_id(tests.tenant_b())),
  tests.answer_about($$ select integrations.open_read_lease(%L, 'why') $$, tests.nobody()),
  'nor another tenant''s, with the same answer');
select throws_ok(
  pg_catalog.format(
    $$ select integrations.open_read_lease(%L, 'why') $$, tests.instance_id(tests.tenant_a(), n)),
  'IN202', 'integration instance is disabled or revoked',
  'open_read_lease refuses a ' || n || ' instance')
from pg_catalog.unnest(array['disabled', 'revoked']) as n;
select throws_ok(
  $$ select integrations.open_read_lease(tests.instance_id(tests.tenant_a(), 'new'), 'why') $$,
  'IN301', 'no credentials are stored', 'open_read_lease has nothing for a pending instance');
select tests.as_service(null);
select throws_ok(
  $$ select integrations.open_read_lease(tests.nobody(), 'why') $$, 'IN001', null,
  'open_read_lease needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.open_read_lease(tests.nobody(), 'why') $$, '42501', null,
  'an application may not open a lease');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.open_read_lease(tests.nobody(), 'why') $$, '42501', null,
  'nor may an administrator');
select tests.unchanged('refused calls leave no lease and no entry');

select * from finish();
rollback;
