-- Tests functions/require_tenant: the tenant, or an error.
begin;
select plan(14);

select has_function('integrations_private', 'require_tenant', array[]::name[]);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.require_tenant()'::regprocedure
  ),
  '',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'require_tenant', array[]::name[], 'uuid');
select function_lang_is('integrations_private', 'require_tenant', array[]::name[], 'plpgsql');
select volatility_is('integrations_private', 'require_tenant', array[]::name[], 'stable');
select isnt_definer('integrations_private', 'require_tenant', array[]::name[]);
select function_owner_is(
  'integrations_private', 'require_tenant',
  array[]::name[],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.require_tenant()',
  array[]::name[]
);

select tests.as_owner(tests.tenant_a());
select is(
  integrations_private.require_tenant(), tests.tenant_a(), 'the tenant of the transaction');
select tests.as_owner(null);
select throws_ok(
  $$ select integrations_private.require_tenant() $$, 'IN001', 'tenant is not set',
  'require_tenant without a tenant');
select matches(
  tests.error_of($$ select integrations_private.require_tenant() $$) ->> 'hint',
  'BEGIN.*one transaction', 'the hint tells the mistake that most people make');
select is(integrations.current_tenant(), null, 'and sets none');

select * from finish();
rollback;
