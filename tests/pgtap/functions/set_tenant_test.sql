-- Tests functions/set_tenant: the one way to choose a tenant, for one transaction.
begin;
select plan(27);

select has_function('integrations', 'set_tenant', array['uuid']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.set_tenant(uuid)'::regprocedure
  ),
  'tenant_id uuid',
  'its parameters are called by these names'
);
select function_returns('integrations', 'set_tenant', array['uuid'], 'void');
select function_lang_is('integrations', 'set_tenant', array['uuid'], 'plpgsql');
select volatility_is('integrations', 'set_tenant', array['uuid'], 'volatile');
select isnt_definer('integrations', 'set_tenant', array['uuid']);
select function_owner_is('integrations', 'set_tenant', array['uuid'], 'integrations_owner');
select tests.executable_by(
  'integrations.set_tenant(uuid)',
  array['integrations_admin', 'integrations_tenant', 'svc_integration']
);

select tests.as_tenant(null);
select is(integrations.current_tenant(), null, 'no tenant to begin with');
select lives_ok(
  $$ select integrations.set_tenant(tests.tenant_a()) $$, 'a tenant is chosen');
select is(integrations.current_tenant(), tests.tenant_a(), 'current_tenant tells it');
select lives_ok(
  $$ select integrations.set_tenant(tenant_id => tests.tenant_b()) $$, 'another one is chosen');
select is(integrations.current_tenant(), tests.tenant_b(), 'it takes the place of the former');

select throws_ok(
  $$ select integrations.set_tenant(null) $$, '22023', 'tenant_id must not be null',
  'set_tenant refuses null');
select throws_ok(
  $$ select integrations.set_tenant('') $$, '22P02', null,
  'set_tenant has no empty tenant: uuid refuses it');
select is(
  integrations.current_tenant(), tests.tenant_b(), 'a refused call leaves the tenant as it was');

-- SET LOCAL: what a transaction chose goes with it. A savepoint shows it within one.
savepoint before;
select lives_ok(
  $$ select integrations.set_tenant(tests.tenant_a()) $$, 'a tenant is chosen after a savepoint');
rollback to savepoint before;
select is(integrations.current_tenant(), tests.tenant_b(), 'a rollback takes the choice back');

select tests.as_service(null);
select lives_ok(
  $$ select integrations.set_tenant(tests.tenant_a()) $$, 'the service may choose a tenant');
select tests.as_admin();
select lives_ok(
  $$ select integrations.set_tenant(tests.tenant_a()) $$, 'an administrator may choose a tenant');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.set_tenant(tests.tenant_a()) $$, '42501', null,
  'an auditor may not choose a tenant');
select tests.as_superuser();
select is(
  integrations.current_tenant(), null, 'the refused auditor has not changed the tenant');

select * from finish();
rollback;
