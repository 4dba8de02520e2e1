-- Tests functions/list_refresh_due: of all tenants, ids only.
begin;
select plan(43);

select has_function('integrations', 'list_refresh_due', array['integer']);
select is(
  pg_catalog.pg_get_function_arguments('integrations.list_refresh_due(integer)'::regprocedure),
  'max_rows integer DEFAULT 100',
  'its parameters are called by these names'
);
select function_returns('integrations', 'list_refresh_due', array['integer'], 'setof record');
select function_lang_is('integrations', 'list_refresh_due', array['integer'], 'plpgsql');
select volatility_is('integrations', 'list_refresh_due', array['integer'], 'volatile');
select is_definer('integrations', 'list_refresh_due', array['integer']);
select function_owner_is(
  'integrations', 'list_refresh_due',
  array['integer'],
  'integrations_keymaster'
);
select tests.executable_by('integrations.list_refresh_due(integer)', array['svc_integration']);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'early', 'active', '{"expires_in": 100}'),
          tests.an_instance(tests.tenant_b(), 'late', 'active', '{"expires_in": 290}'),
          tests.an_instance(tests.tenant_b(), 'past', 'active',
                            '{"expires_at": "2020-01-02T03:04:05Z"}'),
          tests.an_instance(tests.tenant_a(), 'later', 'active', '{"expires_in": 900}'),
          tests.an_instance(tests.tenant_a(), 'never', 'active'),
          tests.an_instance(tests.tenant_a(), 'new'),
          tests.an_instance(tests.tenant_a(), 'failed', 'error', '{"expires_in": 1}'),
          tests.an_instance(tests.tenant_a(), 'disabled', 'disabled', '{"expires_in": 1}'),
          tests.an_instance(tests.tenant_a(), 'revoked', 'revoked', '{"expires_in": 1}');
  perform tests.remember();
end
$$;

select tests.as_service(null);
select results_eq(
  'select * from integrations.list_refresh_due()',
  $$
    select i.tenant_id, i.id, i.credentials_expire_at
      from (select * from tests.instance(tests.tenant_a(), 'early')
            union all select * from tests.instance(tests.tenant_b(), 'late')
            union all select * from tests.instance(tests.tenant_b(), 'past')) as i
     order by i.credentials_expire_at
  $$,
  'active instances of all tenants that expire within five minutes, the earliest first');
select results_eq(
  'select instance_id from integrations.list_refresh_due(max_rows => 1)',
  $$ select tests.instance_id(tests.tenant_b(), 'past') $$, 'as many as are asked for');
select tests.as_service(tests.tenant_a());
select is(
  (select pg_catalog.count(*) from integrations.list_refresh_due()), 3::bigint,
  'whatever the tenant of the transaction');
select throws_ok(
  pg_catalog.format('select * from integrations.list_refresh_due(%L)', n), '22023', null,
  'list_refresh_due refuses ' || coalesce(n::text, 'null'))
from (values (null::integer), (0), (-1)) as v (n);
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  'select * from integrations.list_refresh_due()', '42501', null, 'an application may not list');
select tests.as_admin();
select throws_ok(
  'select * from integrations.list_refresh_due()', '42501', null, 'an administrator may not list');
select tests.as_auditor();
select throws_ok(
  'select * from integrations.list_refresh_due()', '42501', null, 'an auditor may not list');
select tests.unchanged('a list changes nothing');

select tests.as_service(tests.tenant_a());
create temporary table claimed on commit drop as
select integrations.claim_refresh(tests.instance_id(tests.tenant_a(), 'early'), 'w') as lease;
select set_eq(
  'select instance_id from integrations.list_refresh_due()',
  $$
    values (tests.instance_id(tests.tenant_b(), 'late')),
           (tests.instance_id(tests.tenant_b(), 'past'))
  $$,
  'not what is leased');
select lives_ok(
  'select integrations.fail_refresh(c.lease, ''no'') from pg_temp.claimed as c', 'it fails');
select is(
  (select pg_catalog.count(*) from integrations.list_refresh_due()), 2::bigint,
  'nor what backs off');
select lives_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_a(), 'early'), true) $$,
  'a good connection ends the error');
select is(
  (select pg_catalog.count(*) from integrations.list_refresh_due()), 2::bigint,
  'and not the back-off');
select lives_ok(
  $$
    select integrations.set_instance_status(tests.instance_id(tests.tenant_a(), 'early'), 'error')
  $$,
  'back to error');
select tests.as_superuser();
update integrations_private.refresh_leases set retry_at = pg_catalog.clock_timestamp();
select tests.as_service(tests.tenant_a());
select is(
  (select pg_catalog.count(*) from integrations.list_refresh_due()), 3::bigint,
  'what failed is listed again in its time');
select tests.as_superuser();
update integrations_private.refresh_leases
   set lease = tests.nobody(), leased_until = pg_catalog.clock_timestamp() + interval '1 minute';
select is(
  (select pg_catalog.count(*) from integrations.list_refresh_due()), 2::bigint,
  'until somebody tries');
update integrations_private.refresh_leases set leased_until = pg_catalog.clock_timestamp();
select is(
  (select pg_catalog.count(*) from integrations.list_refresh_due()), 3::bigint,
  'who dies with the lease loses nothing');
update integrations_private.refresh_leases set credentials_version = 0;
select is(
  (select pg_catalog.count(*) from integrations.list_refresh_due()), 2::bigint,
  'a failure of other credentials says nothing of the error there is');
update integrations_private.refresh_leases set credentials_version = 1, retry_at = null;
select is(
  (select pg_catalog.count(*) from integrations.list_refresh_due()), 2::bigint,
  'what failed for good is not listed');

update integrations_private.refresh_leases
   set refreshed_at = pg_catalog.clock_timestamp(), leased_until = null, lease = null;
select integrations.set_tenant(tests.tenant_a());
select lives_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_a(), 'early'), true) $$,
  'it is well again');
select results_eq(
  'select instance_id from integrations.list_refresh_due()',
  $$
    values (tests.instance_id(tests.tenant_b(), 'past')),
           (tests.instance_id(tests.tenant_b(), 'late')),
           (tests.instance_id(tests.tenant_a(), 'early'))
  $$,
  'what was refreshed a moment ago, and is due all the same, comes last');
select is(
  (select pg_catalog.count(*) from integrations.list_refresh_due(2)), 2::bigint,
  'and not more than asked for');
update integrations_private.refresh_leases
   set refreshed_at = pg_catalog.clock_timestamp() - interval '1 minute';
select results_eq(
  'select instance_id from integrations.list_refresh_due()',
  $$
    values (tests.instance_id(tests.tenant_b(), 'past')),
           (tests.instance_id(tests.tenant_a(), 'early')),
           (tests.instance_id(tests.tenant_b(), 'late'))
  $$,
  'for a minute');
update integrations_private.refresh_leases
   set refreshed_at = pg_catalog.clock_timestamp(), credentials_version = 0;
select results_eq(
  'select instance_id from integrations.list_refresh_due()',
  $$
    values (tests.instance_id(tests.tenant_b(), 'past')),
           (tests.instance_id(tests.tenant_a(), 'early')),
           (tests.instance_id(tests.tenant_b(), 'late'))
  $$,
  'other credentials do not');

select * from finish();
rollback;
