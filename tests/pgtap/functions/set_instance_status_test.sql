-- Tests functions/set_instance_status. Every move is tried in scenarios/life_of_an_instance.
begin;
select plan(26);

select has_function(
  'integrations', 'set_instance_status',
  array['uuid', 'integrations.integration_instance_status', 'text']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.set_instance_status('
    'uuid,integrations.integration_instance_status,text)'::regprocedure
  ),
  'instance_id uuid, status integrations.integration_instance_status, '
    || 'reason text DEFAULT NULL::text',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'set_instance_status',
  array['uuid', 'integrations.integration_instance_status', 'text'],
  'void'
);
select function_lang_is(
  'integrations', 'set_instance_status',
  array['uuid', 'integrations.integration_instance_status', 'text'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'set_instance_status',
  array['uuid', 'integrations.integration_instance_status', 'text'],
  'volatile'
);
select is_definer(
  'integrations', 'set_instance_status',
  array['uuid', 'integrations.integration_instance_status', 'text']
);
select function_owner_is(
  'integrations', 'set_instance_status',
  array['uuid', 'integrations.integration_instance_status', 'text'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.set_instance_status(uuid,integrations.integration_instance_status,text)',
  array['integrations_tenant', 'svc_integration']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active'),
          tests.an_instance(tests.tenant_a(), 'new', 'pending');
end
$$;

select tests.as_tenant(tests.tenant_a());
select lives_ok(
  $$
    select integrations.set_instance_status(
      instance_id => tests.instance_id(tests.tenant_a()), status => 'disabled',
      reason => 'on holiday')
  $$,
  'an instance is disabled');
select results_eq(
  $$
    select status::text, status_reason, credentials_version, credentials is not null
      from tests.instance(tests.tenant_a())
  $$,
  $$ values ('disabled', 'on holiday', 1, true) $$,
  'it says why, and keeps its credentials');
select results_eq(
  $$ select actor, detail from tests.audited(tests.tenant_a(), 'status_changed') $$,
  $$
    values ('integrations_tenant', '{"from": "active", "to": "disabled", "version": 1}'::jsonb)
  $$,
  'the move is audited');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.set_instance_status(null, 'active') $$, '22023', null,
  'set_instance_status refuses a null id');
select throws_ok(
  $$ select integrations.set_instance_status(tests.instance_id(tests.tenant_a()), null) $$,
  '22023', null, 'set_instance_status refuses a null status');
select throws_ok(
  $$ select integrations.set_instance_status(tests.instance_id(tests.tenant_a()), 'gone') $$,
  '22P02', null, 'set_instance_status refuses a status that there is not');
select throws_ok(
  $$
    select integrations.set_instance_status(tests.instance_id(tests.tenant_a(), 'new'), 'active')
  $$,
  'IN104', null, 'set_instance_status does not make a pending instance active');
select throws_ok(
  $$ select integrations.set_instance_status(tests.nobody(), 'disabled') $$, 'IN201', null,
  'set_instance_status does not find an unknown id');
select throws_ok(
  $$ select integrations.set_instance_status(tests.instance_id(tests.tenant_b()), 'disabled') $$,
  'IN201', null, 'set_instance_status does not find another tenant''s');
select tests.as_tenant(null);
select throws_ok(
  $$ select integrations.set_instance_status(tests.instance_id(tests.tenant_a()), 'active') $$,
  'IN001', null, 'set_instance_status needs a tenant');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.set_instance_status(tests.instance_id(tests.tenant_a()), 'active') $$,
  '42501', null, 'an administrator may not move an instance');
select tests.unchanged('refused moves change nothing');

select tests.as_service(tests.tenant_a());
select lives_ok(
  $$
    select integrations.set_instance_status(
      tests.instance_id(tests.tenant_a()), 'active', 'back again')
  $$,
  'the service enables it again');
select results_eq(
  $$ select status::text, status_reason from tests.instance(tests.tenant_a()) $$,
  $$ values ('active', null::text) $$, 'an active instance has no reason');

select * from finish();
rollback;
