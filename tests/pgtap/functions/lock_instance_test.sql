-- Tests functions/lock_instance.
begin;
select plan(17);

select has_function('integrations_private', 'lock_instance', array['uuid']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.lock_instance(uuid)'::regprocedure
  ),
  'instance_id uuid',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'lock_instance',
  array['uuid'],
  'integrations.integration_instances'
);
select function_lang_is('integrations_private', 'lock_instance', array['uuid'], 'plpgsql');
select volatility_is('integrations_private', 'lock_instance', array['uuid'], 'volatile');
select isnt_definer('integrations_private', 'lock_instance', array['uuid']);
select function_owner_is(
  'integrations_private', 'lock_instance',
  array['uuid'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.lock_instance(uuid)', array[]::name[]);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm'), tests.an_instance(tests.tenant_b(), 'crm');
  perform tests.remember();
end
$$;

select tests.as_owner(tests.tenant_a());
select is(
  (integrations_private.lock_instance(tests.instance_id(tests.tenant_a()))),
  tests.instance(tests.tenant_a()), 'the whole row of the tenant''s instance');
select throws_ok(
  $$ select integrations_private.lock_instance(null) $$, '22023', null,
  'lock_instance refuses null');
select throws_ok(
  $$ select integrations_private.lock_instance(tests.nobody()) $$, 'IN201',
  'integration instance not found', 'lock_instance does not find an unknown id');
select throws_ok(
  $$ select integrations_private.lock_instance(tests.instance_id(tests.tenant_b())) $$, 'IN201',
  'integration instance not found', 'lock_instance does not find another tenant''s');
select is(
  tests.answer_about(
    'select integrations_private.lock_instance(%L)', tests.instance_id(tests.tenant_b())),
  tests.answer_about('select integrations_private.lock_instance(%L)', tests.nobody()),
  'but for the id, the two answers are the same');

select tests.as_owner(null);
select throws_ok(
  $$ select integrations_private.lock_instance(tests.instance_id(tests.tenant_a())) $$, 'IN001',
  null, 'lock_instance needs a tenant');
select tests.unchanged('it changed nothing');

select * from finish();
rollback;
