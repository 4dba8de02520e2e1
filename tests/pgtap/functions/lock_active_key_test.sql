-- Tests functions/lock_active_key.
begin;
select plan(14);

select has_function('integrations_private', 'lock_active_key', array['uuid']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.lock_active_key(uuid)'::regprocedure
  ),
  'tenant_id uuid',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'lock_active_key',
  array['uuid'],
  'integrations_private.tenant_keys'
);
select function_lang_is('integrations_private', 'lock_active_key', array['uuid'], 'plpgsql');
select volatility_is('integrations_private', 'lock_active_key', array['uuid'], 'volatile');
select isnt_definer('integrations_private', 'lock_active_key', array['uuid']);
select function_owner_is(
  'integrations_private', 'lock_active_key',
  array['uuid'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.lock_active_key(uuid)', array[]::name[]);

do $$
begin
  perform tests.a_key(tests.tenant_a());
  perform tests.a_key(tests.tenant_a());
  perform tests.a_key(tests.tenant_b());
end
$$;

select tests.as_owner(tests.tenant_a());
select is(
  (integrations_private.lock_active_key(tests.tenant_a())).id,
  (tests.active_key(tests.tenant_a())).id, 'the active key');
select is(
  (integrations_private.lock_active_key(tests.tenant_a())).version, 2, 'and not its predecessor');
select is(
  (integrations_private.lock_active_key(tests.tenant_b())).id, null,
  'another tenant''s is not there');
select tests.as_owner(tests.nobody());
select is(
  (integrations_private.lock_active_key(tests.nobody())).id, null,
  'NULL where there is none');

select * from finish();
rollback;
