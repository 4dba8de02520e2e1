-- Tests functions/list_keys: keys of all tenants, for administrators, without material.
begin;
select plan(13);

select has_function('integrations_private', 'list_keys', array[]::name[]);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.list_keys()'::regprocedure
  ),
  '',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'list_keys', array[]::name[], 'setof record');
select function_lang_is('integrations_private', 'list_keys', array[]::name[], 'plpgsql');
select volatility_is('integrations_private', 'list_keys', array[]::name[], 'volatile');
select is_definer('integrations_private', 'list_keys', array[]::name[]);
select function_owner_is(
  'integrations_private', 'list_keys',
  array[]::name[],
  'integrations_keymaster'
);
select tests.executable_by('integrations_private.list_keys()', array['integrations_admin']);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'one', 'active'),
          tests.an_instance(tests.tenant_a(), 'two', 'active'),
          tests.an_instance(tests.tenant_a(), 'three');
  perform tests.a_key(tests.tenant_a(), 2);
  perform tests.a_key(tests.tenant_b());
end
$$;

-- The way in is the view key_overview: administrators have no USAGE on the private schema.
select tests.as_admin();
select throws_ok(
  'select * from integrations_private.list_keys()', '42501', null,
  'list_keys cannot be called by name');
select tests.as_superuser();
select results_eq(
  $$
    select tenant_id, version, kek_id, state, instance_count
      from integrations_private.list_keys()
     order by tenant_id, version
  $$,
  $$
    values (tests.tenant_a(), 1, 'kek-1', 'decrypt_only', 2::bigint),
           (tests.tenant_a(), 2, 'kek-2', 'active', 0::bigint),
           (tests.tenant_b(), 1, 'kek-1', 'active', 0::bigint)
  $$,
  'each key with the number of instances that need it');
select set_eq(
  $$ select key_id, created_at from integrations_private.list_keys() $$,
  $$ select id, created_at from integrations_private.tenant_keys $$,
  'with its id and age');

select * from finish();
rollback;
