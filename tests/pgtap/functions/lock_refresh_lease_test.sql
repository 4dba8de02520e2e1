-- Tests functions/lock_refresh_lease.
begin;
select plan(19);

select has_function('integrations_private', 'lock_refresh_lease', array['uuid']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.lock_refresh_lease(uuid)'::regprocedure
  ),
  'lease uuid',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'lock_refresh_lease',
  array['uuid'],
  'integrations.integration_instances'
);
select function_lang_is('integrations_private', 'lock_refresh_lease', array['uuid'], 'plpgsql');
select volatility_is('integrations_private', 'lock_refresh_lease', array['uuid'], 'volatile');
select isnt_definer('integrations_private', 'lock_refresh_lease', array['uuid']);
select function_owner_is(
  'integrations_private', 'lock_refresh_lease',
  array['uuid'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.lock_refresh_lease(uuid)', array[]::name[]);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active');
  perform integrations.set_tenant(tests.tenant_a());
  perform integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w');
  perform integrations.set_tenant(tests.tenant_b());
  perform integrations.claim_refresh(tests.instance_id(tests.tenant_b()), 'w');
  perform tests.remember();
end
$$;

select tests.as_owner(tests.tenant_a());
select is(
  (integrations_private.lock_refresh_lease((tests.lease(tests.tenant_a())).lease)),
  tests.instance(tests.tenant_a()), 'the whole row of the instance that is leased');
select throws_ok(
  $$ select integrations_private.lock_refresh_lease(null) $$, '22023', null,
  'lock_refresh_lease refuses null');
select throws_ok(
  $$ select integrations_private.lock_refresh_lease(tests.nobody()) $$, 'IN402',
  'refresh lease is lost', 'lock_refresh_lease does not find an unknown lease');
select throws_ok(
  $$ select integrations_private.lock_refresh_lease((tests.lease(tests.tenant_b())).lease) $$,
  'IN402', 'refresh lease is lost', 'lock_refresh_lease does not find another tenant''s');
select is(
  tests.answer_about(
    'select integrations_private.lock_refresh_lease(%L)', (tests.lease(tests.tenant_b())).lease),
  tests.answer_about('select integrations_private.lock_refresh_lease(%L)', tests.nobody()),
  'but for the id, the two answers are the same');
select tests.as_owner(null);
select throws_ok(
  $$ select integrations_private.lock_refresh_lease(tests.nobody()) $$, 'IN001', null,
  'lock_refresh_lease needs a tenant');
select tests.unchanged('it changed nothing');

select tests.as_owner(tests.tenant_a());
update integrations_private.refresh_leases set leased_until = pg_catalog.clock_timestamp();
select throws_ok(
  $$ select integrations_private.lock_refresh_lease((tests.lease(tests.tenant_a())).lease) $$,
  'IN402', 'refresh lease is lost',
  'lock_refresh_lease refuses a lease that expired during this transaction');

select * from finish();
rollback;
