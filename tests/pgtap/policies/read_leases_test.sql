-- Tests policies/read_leases: two tenants, each direction, and every role.
begin;
select plan(26);

select policies_are('integrations_private', 'read_leases', array['tenant_all']);
select policy_cmd_is('integrations_private', 'read_leases', 'tenant_all', 'ALL',
  'it is for every command');
select policy_roles_are(
  'integrations_private', 'read_leases', 'tenant_all',
  array['integrations_owner', 'integrations_tenant', 'svc_integration']);
select results_eq(
  $$
    select p.polpermissive,
           pg_catalog.pg_get_expr(p.polqual, p.polrelid) collate "default",
           pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) collate "default"
      from pg_catalog.pg_policy as p
     where p.polrelid = 'integrations_private.read_leases'::regclass
  $$,
  $$
    values (true, '(tenant_id = integrations.current_tenant())',
            '(tenant_id = integrations.current_tenant())')
  $$,
  'it is permissive, and says this');
select results_eq(
  $$
    select c.relrowsecurity, c.relforcerowsecurity
      from pg_catalog.pg_class as c
     where c.oid = 'integrations_private.read_leases'::regclass
  $$,
  'values (true, true)', 'row-level security is enabled, and forced on the owner');

-- As a superuser: the rows are there, whoever may see them.
insert into integrations_private.read_leases
  (tenant_id, instance_id, session_actor, opened_by, opened_at, expires_at)
select t, tests.nobody(), 'x', '3', now(), now() + interval '1 minute'
  from pg_catalog.unnest(array[tests.tenant_a(), tests.tenant_b()]) as t;
do $$
begin
  perform tests.remember();
end
$$;

select tests.as_owner(tests.tenant_a());
select results_eq(
  'select tenant_id from integrations_private.read_leases', array[tests.tenant_a()],
  'for tenant A there is the lease of A');
select throws_ok(
  $$
    update integrations_private.read_leases set tenant_id = tests.tenant_b()
  $$,
  '42501', null, 'it cannot become one of B');
select tests.as_owner(tests.tenant_b());
select results_eq(
  'select tenant_id from integrations_private.read_leases', array[tests.tenant_b()],
  'for tenant B there is the lease of B');
select throws_ok(
  $$
    update integrations_private.read_leases set tenant_id = tests.tenant_a()
  $$,
  '42501', null, 'it cannot become one of A');
select tests.as_owner(null);
select is_empty(
  'select * from integrations_private.read_leases', 'without a tenant there is none');

-- Everybody else lacks the privilege, policy or not.
select tests.as_service(tests.tenant_a());
select throws_ok(q, '42501', null, 'the service is refused: ' || q)
from pg_catalog.unnest(array[
       'select * from integrations_private.read_leases',
       'select id from integrations_private.read_leases',
       'update integrations_private.read_leases set expires_at = ''infinity''',
       'delete from integrations_private.read_leases',
       'truncate integrations_private.read_leases'
     ]) as q;
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  'select * from integrations_private.read_leases', '42501', null, 'so is the application');
select tests.as_keymaster();
select throws_ok(
  'select * from integrations_private.read_leases', '42501', null, 'so is key maintenance');
select tests.as_auditor();
select throws_ok(
  'select * from integrations_private.read_leases', '42501', null, 'so is an auditor');
select tests.unchanged('every lease is as it was');

select * from finish();
rollback;
