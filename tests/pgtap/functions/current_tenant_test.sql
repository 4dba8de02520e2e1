-- Tests functions/current_tenant: the tenant as the policies see it.
begin;
select plan(19);

select has_function('integrations', 'current_tenant', array[]::name[]);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.current_tenant()'::regprocedure
  ),
  '',
  'its parameters are called by these names'
);
select function_returns('integrations', 'current_tenant', array[]::name[], 'uuid');
select function_lang_is('integrations', 'current_tenant', array[]::name[], 'sql');
select volatility_is('integrations', 'current_tenant', array[]::name[], 'stable');
select isnt_definer('integrations', 'current_tenant', array[]::name[]);
select function_owner_is('integrations', 'current_tenant', array[]::name[], 'integrations_owner');
select tests.executable_by(
  'integrations.current_tenant()',
  array['integrations_admin', 'integrations_tenant', 'svc_integration']
);

select is(
  (select p.proparallel::text from pg_catalog.pg_proc as p
    where p.oid = 'integrations.current_tenant()'::regprocedure),
  's', 'a policy with it does not forbid parallel plans');

select tests.as_tenant(null);
select is(
  integrations.current_tenant(), null, 'an empty setting, as a transaction leaves it, is none');
select tests.as_tenant(tests.tenant_a());
select is(integrations.current_tenant(), tests.tenant_a(), 'the tenant of the transaction');

-- A setting that is no tenant at all fails closed.
select throws_ok(
  $$
    select pg_catalog.set_config('integrations.tenant_id', 'garbage', true),
           integrations.current_tenant()
  $$,
  '22P02', null, 'current_tenant refuses garbage');

-- A new tenant is seen at once, in a generic plan too: an IMMUTABLE function was not.
set local plan_cache_mode = force_generic_plan;
prepare whose as select integrations.current_tenant();
select results_eq(
  'execute whose', array[tests.tenant_a()], 'a prepared statement tells the tenant');
select tests.as_tenant(tests.tenant_b());
select results_eq('execute whose', array[tests.tenant_b()], 'and the next tenant');

select tests.as_auditor();
select throws_ok(
  $$ select integrations.current_tenant() $$, '42501', null, 'an auditor may not call it');

select * from finish();
rollback;
