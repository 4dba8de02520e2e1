-- Tests functions/move_instance.
begin;
select plan(18);

select has_function(
  'integrations_private', 'move_instance',
  array['integrations.integration_instances', 'integrations.integration_instance_status', 'text']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.move_instance('
    'integrations.integration_instances,integrations.integration_instance_status,'
    'text)'::regprocedure
  ),
  'instance integrations.integration_instances, '
    || 'status integrations.integration_instance_status, reason text',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'move_instance',
  array['integrations.integration_instances', 'integrations.integration_instance_status', 'text'],
  'void'
);
select function_lang_is(
  'integrations_private', 'move_instance',
  array['integrations.integration_instances', 'integrations.integration_instance_status', 'text'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'move_instance',
  array['integrations.integration_instances', 'integrations.integration_instance_status', 'text'],
  'volatile'
);
select isnt_definer(
  'integrations_private', 'move_instance',
  array['integrations.integration_instances', 'integrations.integration_instance_status', 'text']
);
select function_owner_is(
  'integrations_private', 'move_instance',
  array['integrations.integration_instances', 'integrations.integration_instance_status', 'text'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.move_instance('
  'integrations.integration_instances,integrations.integration_instance_status,text)',
  array[]::name[]
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active');
end
$$;

select tests.as_owner(tests.tenant_a());
select lives_ok(
  $$
    select integrations_private.move_instance(
      tests.instance(tests.tenant_a()), 'error', pg_catalog.repeat('ü', 1001))
  $$,
  'active moves to error');
select results_eq(
  $$
    select status::text, pg_catalog.char_length(status_reason), credentials is not null,
           updated_at > created_at
      from tests.instance(tests.tenant_a())
  $$,
  $$ values ('error', 1000, true, true) $$,
  'the reason is cut to 1000 characters, the credentials stay, the change is dated');
select results_eq(
  $$ select instance_id, detail from tests.audited(tests.tenant_a(), 'status_changed') $$,
  $$
    select tests.instance_id(tests.tenant_a()),
           '{"from": "active", "to": "error", "version": 1}'::jsonb
  $$,
  'the move is audited, without its reason');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$
    select integrations_private.move_instance(tests.instance(tests.tenant_a()), 'pending', null)
  $$,
  'IN104', 'status cannot move that way', 'move_instance refuses a step back to pending');
select throws_ok(
  $$ select integrations_private.move_instance(tests.instance(tests.tenant_a()), 'error', null) $$,
  'IN104', null, 'move_instance refuses to stand still');
select tests.unchanged('refused moves change nothing');

select lives_ok(
  $$
    select integrations_private.move_instance(tests.instance(tests.tenant_a()), 'revoked', 'gone')
  $$,
  'error moves to revoked');
select results_eq(
  $$
    select status::text, status_reason, credentials, credentials_version, credentials_key_id,
           credentials_expire_at
      from tests.instance(tests.tenant_a())
  $$,
  $$ values ('revoked', 'gone', null::jsonb, 1, null::uuid, null::timestamptz) $$,
  'revocation erases the credentials and keeps their version');
select results_eq(
  $$ select detail from tests.audited(tests.tenant_a(), 'credentials_revoked') $$,
  array['{"from": "error", "to": "revoked", "version": 1}'::jsonb],
  'and is audited under its own name');

select * from finish();
rollback;
