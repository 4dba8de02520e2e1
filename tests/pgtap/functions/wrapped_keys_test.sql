-- Tests functions/wrapped_keys.
begin;
select plan(23);

select has_function(
  'integrations', 'wrapped_keys', array[]::name[]
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.wrapped_keys()'::regprocedure
  ),
  '',
  'its parameters are called by these names'
);
select is(
  pg_catalog.pg_get_function_result(
    'integrations.wrapped_keys()'::regprocedure
  ),
  'TABLE(key_id uuid, kek_id text, state text, wrapped bytea)',
  'it returns these columns'
);
select function_lang_is(
  'integrations', 'wrapped_keys',
  array[]::name[],
  'plpgsql'
);
select volatility_is(
  'integrations', 'wrapped_keys',
  array[]::name[],
  'volatile'
);
select is_definer(
  'integrations', 'wrapped_keys',
  array[]::name[]
);
select function_owner_is(
  'integrations', 'wrapped_keys',
  array[]::name[],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.wrapped_keys()',
  array['svc_integration']
);

do $$
begin
  perform tests.a_key(tests.tenant_a());
  perform tests.a_key(tests.tenant_a(), 2);
  perform tests.a_key(tests.tenant_a());
  perform tests.a_key(tests.tenant_b());
end
$$;
select tests.as_superuser();
update integrations_private.tenant_keys
   set state = 'destroyed', wrapped = null
 where tenant_id = tests.tenant_a() and version = 1;
create temporary table stored on commit drop as
select k.tenant_id, k.id, k.version, k.kek_id, k.state::text as state, k.wrapped
  from integrations_private.tenant_keys as k;
grant select on stored to svc_integration;
do $$
begin
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select results_eq(
  'select kek_id, state from integrations.wrapped_keys()',
  $$ values ('kek-1', 'active'), ('kek-2', 'decrypt_only') $$,
  'the keys of the tenant, the newest first, without the destroyed one');
select results_eq(
  'select key_id, kek_id, state, wrapped from integrations.wrapped_keys()',
  $$
    select s.id, s.kek_id, s.state, s.wrapped
      from stored as s
     where s.tenant_id = tests.tenant_a()
       and s.wrapped is not null
     order by s.version desc
  $$,
  'each as it is stored');
select tests.as_service(tests.nobody());
select is_empty('select key_id from integrations.wrapped_keys()', 'none where there is none');
select tests.as_service(null);
select throws_ok(
  'select integrations.wrapped_keys()', 'IN001', null, 'wrapped_keys needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  'select integrations.wrapped_keys()', '42501', null, 'an application may not see them');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  'select integrations.wrapped_keys()', '42501', null, 'an administrator may not see them');
select tests.as_auditor();
select throws_ok(
  'select integrations.wrapped_keys()', '42501', null, 'an auditor may not see them');
select tests.unchanged('to look changes nothing');

select * from finish();
rollback;
