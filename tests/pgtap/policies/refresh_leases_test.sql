-- Tests policies/refresh_leases: two tenants, each direction.
begin;
select plan(21);

select policies_are(
  'integrations_private', 'refresh_leases',
  array['keymaster_select', 'tenant_all']
);
select policy_cmd_is(
  'integrations_private', 'refresh_leases', 'keymaster_select', 'SELECT',
  'policy keymaster_select is for SELECT'
);
select policy_roles_are(
  'integrations_private', 'refresh_leases', 'keymaster_select',
  array['integrations_keymaster']
);
select policy_cmd_is(
  'integrations_private', 'refresh_leases', 'tenant_all', 'ALL',
  'policy tenant_all is for ALL'
);
select policy_roles_are(
  'integrations_private', 'refresh_leases', 'tenant_all',
  array['integrations_owner', 'integrations_tenant', 'svc_integration']
);
select results_eq(
  $$
    select p.polname::text collate "default", p.polpermissive,
           pg_catalog.pg_get_expr(p.polqual, p.polrelid) collate "default",
           pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) collate "default"
      from pg_catalog.pg_policy as p
     where p.polrelid = 'integrations_private.refresh_leases'::regclass
     order by p.polname
  $$,
  $$
    values ('keymaster_select', true, 'true', null),
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
     where c.oid = 'integrations_private.refresh_leases'::regclass
  $$,
  'values (true, true)', 'row-level security is enabled, and forced on the owner'
);

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
select results_eq(
  'select tenant_id from integrations_private.refresh_leases', array[tests.tenant_a()],
  'for tenant A there are the leases of A');
select is_empty(
  $$
    update integrations_private.refresh_leases set holder = 'x' where tenant_id = tests.tenant_b()
    returning 1
  $$,
  'tenant A changes no lease of B');
select is_empty(
  $$
    delete from integrations_private.refresh_leases where tenant_id = tests.tenant_b() returning 1
  $$,
  'tenant A deletes no lease of B');
select tests.unchanged('the leases of B are as they were');
select tests.as_owner(tests.tenant_b());
select results_eq(
  'select tenant_id from integrations_private.refresh_leases', array[tests.tenant_b()],
  'for tenant B there are the leases of B');
select is_empty(
  $$
    update integrations_private.refresh_leases set holder = 'x' where tenant_id = tests.tenant_a()
    returning 1
  $$,
  'tenant B changes no lease of A');
select throws_ok(
  $$ update integrations_private.refresh_leases set tenant_id = tests.tenant_a() $$, '42501', null,
  'tenant B gives no lease away');
select tests.unchanged('the leases of A are as they were');
select tests.as_owner(null);
select is_empty(
  'select * from integrations_private.refresh_leases', 'without a tenant there are no leases');

select tests.as_keymaster();
select set_eq(
  'select tenant_id from integrations_private.refresh_leases',
  array[tests.tenant_a(), tests.tenant_b()], 'the list of due refreshes sees those of all tenants');

select * from finish();
rollback;
