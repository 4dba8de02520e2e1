-- Tests policies/tenant_keys: two tenants, each direction.
begin;
select plan(22);

select policies_are(
  'integrations_private', 'tenant_keys',
  array['keymaster_all', 'tenant_all']
);
select policy_cmd_is(
  'integrations_private', 'tenant_keys', 'keymaster_all', 'ALL',
  'policy keymaster_all is for ALL'
);
select policy_roles_are(
  'integrations_private', 'tenant_keys', 'keymaster_all',
  array['integrations_keymaster']
);
select policy_cmd_is(
  'integrations_private', 'tenant_keys', 'tenant_all', 'ALL',
  'policy tenant_all is for ALL'
);
select policy_roles_are(
  'integrations_private', 'tenant_keys', 'tenant_all',
  array['integrations_owner', 'integrations_tenant', 'svc_integration']
);
select results_eq(
  $$
    select p.polname::text collate "default", p.polpermissive,
           pg_catalog.pg_get_expr(p.polqual, p.polrelid) collate "default",
           pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) collate "default"
      from pg_catalog.pg_policy as p
     where p.polrelid = 'integrations_private.tenant_keys'::regclass
     order by p.polname
  $$,
  $$
    values ('keymaster_all', true, 'true', 'true'),
           ('tenant_all', true,
            '(tenant_id = integrations.current_tenant())',
            '(tenant_id = integrations.current_tenant())')
  $$,
  'they are permissive, and say this'
);
select results_eq(
  $$
    select c.relrowsecurity, c.relforcerowsecurity
      from pg_catalog.pg_class as c
     where c.oid = 'integrations_private.tenant_keys'::regclass
  $$,
  'values (true, true)', 'row-level security is enabled, and forced on the owner'
);

do $$
begin
  perform tests.a_key(tests.tenant_a()), tests.a_key(tests.tenant_b());
  perform tests.remember();
end
$$;

select tests.as_owner(tests.tenant_a());
select results_eq(
  'select distinct tenant_id from integrations_private.tenant_keys', array[tests.tenant_a()],
  'for tenant A there are the keys of A');
select is_empty(
  $$
    update integrations_private.tenant_keys set state = 'retired'
     where tenant_id = tests.tenant_b()
    returning 1
  $$,
  'tenant A changes no key of B');
select is_empty(
  $$
    delete from integrations_private.tenant_keys where tenant_id = tests.tenant_b() returning 1
  $$,
  'tenant A deletes no key of B');
select tests.unchanged('the keys of B are as they were');
select tests.as_owner(tests.tenant_b());
select results_eq(
  'select distinct tenant_id from integrations_private.tenant_keys', array[tests.tenant_b()],
  'for tenant B there are the keys of B');
select is_empty(
  $$
    update integrations_private.tenant_keys set state = 'retired'
     where tenant_id = tests.tenant_a()
    returning 1
  $$,
  'tenant B changes no key of A');
select throws_ok(
  $$ update integrations_private.tenant_keys set tenant_id = tests.tenant_a() $$, '42501', null,
  'tenant B gives no key away');
select tests.unchanged('the keys of A are as they were');
select tests.as_owner(null);
select is_empty(
  'select * from integrations_private.tenant_keys', 'without a tenant there are no keys');

select tests.as_keymaster();
select set_eq(
  'select tenant_id from integrations_private.tenant_keys',
  array[tests.tenant_a(), tests.tenant_b()], 'key maintenance sees the keys of all tenants');
select results_eq(
  $$
    with changed as (
      update integrations_private.tenant_keys set state = 'decrypt_only' returning tenant_id
    )
    select count(*) from changed
  $$,
  'select count(*) from integrations_private.tenant_keys', 'and changes their state');

select * from finish();
rollback;
