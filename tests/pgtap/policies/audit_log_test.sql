-- Tests policies/audit_log: two tenants, each direction, and every role.
begin;
select plan(31);

select policies_are(
  'integrations_private', 'audit_log',
  array['auditor_select', 'keymaster_all', 'tenant_all']
);
select policy_cmd_is(
  'integrations_private', 'audit_log', 'auditor_select', 'SELECT',
  'policy auditor_select is for SELECT'
);
select policy_roles_are(
  'integrations_private', 'audit_log', 'auditor_select',
  array['integrations_auditor']
);
select policy_cmd_is(
  'integrations_private', 'audit_log', 'keymaster_all', 'ALL',
  'policy keymaster_all is for ALL'
);
select policy_roles_are(
  'integrations_private', 'audit_log', 'keymaster_all',
  array['integrations_keymaster']
);
select policy_cmd_is(
  'integrations_private', 'audit_log', 'tenant_all', 'ALL',
  'policy tenant_all is for ALL'
);
select policy_roles_are(
  'integrations_private', 'audit_log', 'tenant_all',
  array['integrations_owner', 'integrations_tenant', 'svc_integration']
);
select results_eq(
  $$
    select p.polname::text collate "default", p.polpermissive,
           pg_catalog.pg_get_expr(p.polqual, p.polrelid) collate "default",
           pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) collate "default"
      from pg_catalog.pg_policy as p
     where p.polrelid = 'integrations_private.audit_log'::regclass
     order by p.polname
  $$,
  $$
    values ('auditor_select', true, 'true', null),
           ('keymaster_all', true, 'true', 'true'),
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
     where c.oid = 'integrations_private.audit_log'::regclass
  $$,
  'values (true, true)', 'row-level security is enabled, and forced on the owner'
);

do $$
begin
  perform tests.an_instance(tests.tenant_a()), tests.an_instance(tests.tenant_b());
  perform tests.remember();
end
$$;

select tests.as_owner(tests.tenant_a());
select results_eq(
  'select distinct tenant_id from integrations_private.audit_log', array[tests.tenant_a()],
  'for tenant A there are the entries of A');
select throws_ok(
  $$
    insert into integrations_private.audit_log (tenant_id, event, actor, session_actor)
    values (tests.tenant_b(), 'forged', 'x', 'x')
  $$,
  '42501', null, 'none is written for B');
select tests.as_owner(tests.tenant_b());
select results_eq(
  'select distinct tenant_id from integrations_private.audit_log', array[tests.tenant_b()],
  'for tenant B there are the entries of B');
select throws_ok(
  $$
    insert into integrations_private.audit_log (tenant_id, event, actor, session_actor)
    values (tests.tenant_a(), 'forged', 'x', 'x')
  $$,
  '42501', null, 'none is written for A');
select tests.as_owner(null);
select is_empty(
  'select * from integrations_private.audit_log', 'without a tenant there are no entries');
select throws_ok(
  $$
    insert into integrations_private.audit_log (tenant_id, event, actor, session_actor)
    values (tests.tenant_a(), 'forged', 'x', 'x')
  $$,
  '42501', null, 'and none is written');

-- Everybody else lacks the privilege, policy or not.
select tests.as_service(tests.tenant_a());
select throws_ok(
  'select * from integrations_private.audit_log', '42501', null, 'the service does not read it');
select throws_ok(
  'delete from integrations_private.audit_log', '42501', null, 'nor deletes from it');
select throws_ok(
  'truncate integrations_private.audit_log', '42501', null, 'nor empties it');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  'select * from integrations_private.audit_log', '42501', null,
  'the application does not read it');
select tests.as_keymaster();
select throws_ok(
  'select * from integrations_private.audit_log', '42501', null,
  'key maintenance does not read it');
select tests.as_auditor();
select throws_ok(
  'select * from integrations_private.audit_log', '42501', null,
  'an auditor reads the view, not the table');
select set_eq(
  'select tenant_id from integrations.audit_trail', array[tests.tenant_a(), tests.tenant_b()],
  'and sees the entries of all tenants');
select throws_ok(
  'delete from integrations.audit_trail', '42501', null, 'without a way to delete them');
select tests.unchanged('every entry is as it was');

select * from finish();
rollback;
