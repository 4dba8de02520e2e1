-- Tests policies/integration_instances: two tenants, each direction, and every role.
begin;
select plan(48);

select policies_are(
  'integrations', 'integration_instances',
  array['auditor_select', 'keymaster_select', 'tenant_all']
);
select policy_cmd_is(
  'integrations', 'integration_instances', 'auditor_select', 'SELECT',
  'policy auditor_select is for SELECT'
);
select policy_roles_are(
  'integrations', 'integration_instances', 'auditor_select',
  array['integrations_auditor']
);
select policy_cmd_is(
  'integrations', 'integration_instances', 'keymaster_select', 'SELECT',
  'policy keymaster_select is for SELECT'
);
select policy_roles_are(
  'integrations', 'integration_instances', 'keymaster_select',
  array['integrations_keymaster']
);
select policy_cmd_is(
  'integrations', 'integration_instances', 'tenant_all', 'ALL',
  'policy tenant_all is for ALL'
);
select policy_roles_are(
  'integrations', 'integration_instances', 'tenant_all',
  array['integrations_owner', 'integrations_tenant', 'svc_integration']
);
select results_eq(
  $$
    select p.polname::text collate "default", p.polpermissive,
           pg_catalog.pg_get_expr(p.polqual, p.polrelid) collate "default",
           pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) collate "default"
      from pg_catalog.pg_policy as p
     where p.polrelid = 'integrations.integration_instances'::regclass
     order by p.polname
  $$,
  $$
    values ('auditor_select', true, 'true', null),
           ('keymaster_select', true, 'true', null),
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
     where c.oid = 'integrations.integration_instances'::regclass
  $$,
  'values (true, true)', 'row-level security is enabled, and forced on the owner'
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'a'), tests.an_instance(tests.tenant_b(), 'b');
  perform tests.remember();
end
$$;

select tests.as_tenant(tests.tenant_a());
select results_eq(
  'select name::text from integrations.integration_instances', array['a'],
  'the application of A sees A''s');
select is_empty(
  $$ select id from integrations.integration_instances where id = tests.instance_id(
       tests.tenant_b(), 'b') $$,
  'and not B''s by its id');
select tests.as_tenant(tests.tenant_b());
select results_eq(
  'select name::text from integrations.integration_instances', array['b'],
  'the application of B sees B''s');
select tests.as_tenant(null);
select is_empty(
  'select id from integrations.integration_instances', 'without a tenant it sees nothing');
-- Rows of nobody cannot be: the comparison with NULL would show them to everybody without tenant.
select col_not_null(
  'integrations', 'integration_instances', 'tenant_id', 'so there is no row of nobody');

select tests.as_service(tests.tenant_a());
select results_eq(
  'select name::text from integrations.integration_instances', array['a'],
  'the service sees A''s for A');
select tests.as_service(tests.tenant_b());
select results_eq(
  'select name::text from integrations.integration_instances', array['b'],
  'the service sees B''s for B');
select tests.as_service(null);
select is_empty(
  'select id from integrations.integration_instances', 'without a tenant it sees nothing');
select throws_ok(
  $$
    do $do$
    begin
      set local integrations.tenant_id = 'garbage';
      perform i.id from integrations.integration_instances as i;
    end
    $do$
  $$,
  '22P02', null, 'a tenant that is none is an error');
-- A leaky condition is not asked about rows that the policy hides, however cheap it says it is.
create function pg_temp.is_name(name text)
returns boolean
language plpgsql
cost 0.0000001
as $function$
begin
  perform pg_catalog.set_config(
    'tests.seen', pg_catalog.current_setting('tests.seen') || is_name.name, true);
  return true;
end;
$function$;
set local tests.seen = '';
select tests.as_service(tests.tenant_a());
select results_eq(
  'select name::text from integrations.integration_instances where pg_temp.is_name(name)',
  array['a'], 'a leaky condition');
select is(pg_catalog.current_setting('tests.seen'), 'a', 'has seen the rows of the tenant only');
select throws_ok(
  $$
    do $do$
    begin
      set local row_security = off;
      perform i.id from integrations.integration_instances as i;
    end
    $do$
  $$,
  '42501', null, 'row security cannot be switched off');

-- The owner is held as well: that is what definer functions run as.
select tests.as_owner(tests.tenant_a());
select results_eq(
  'select name::text from integrations.integration_instances', array['a'],
  'the owner sees A''s for A');
select is_empty(
  $$
    update integrations.integration_instances set name = 'x'
     where tenant_id = tests.tenant_b()
    returning 1
  $$,
  'the owner changes nothing of B for A');
select is_empty(
  $$
    delete from integrations.integration_instances where tenant_id = tests.tenant_b() returning 1
  $$,
  'the owner deletes nothing of B for A');
select throws_ok(
  $$ update integrations.integration_instances set tenant_id = tests.tenant_b() $$, '42501',
  null, 'the owner gives no row of A to B');
select throws_ok(
  $$
    insert into integrations.integration_instances (tenant_id, integration_id, name)
    values (tests.tenant_b(), tests.definition_id('Salesforce'), 'x')
  $$,
  '42501', null, 'the owner makes no row of B for A');
select throws_ok(
  $$
    insert into integrations.integration_instances (tenant_id, integration_id, name)
    values (null, tests.definition_id('Salesforce'), 'x')
  $$,
  '42501', null, 'nor a row of nobody');
select tests.as_owner(tests.tenant_b());
select is_empty(
  $$
    update integrations.integration_instances set name = 'x'
     where tenant_id = tests.tenant_a()
    returning 1
  $$,
  'the owner changes nothing of A for B');
select tests.as_owner(null);
select is_empty(
  'select id from integrations.integration_instances', 'without a tenant it sees nothing');

select tests.as_auditor();
select set_eq(
  'select name::text from integrations.integration_instances', array['a', 'b'],
  'an auditor sees those of all tenants');
select tests.as_keymaster();
select set_eq(
  'select tenant_id from integrations.integration_instances',
  array[tests.tenant_a(), tests.tenant_b()], 'key maintenance sees those of all tenants');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  'select id from integrations.integration_instances', '42501', null,
  'an administrator has no business here');
select tests.unchanged('nothing has changed by any of this');

-- The plan of one tenant's list goes by an index that leads with the tenant.
select tests.as_service(tests.tenant_a());
set local enable_seqscan = off;
create function pg_temp.plan_of(query text)
returns setof text
language plpgsql
as $function$
begin
  return query execute 'explain ' || query;
end;
$function$;
select ok(
  pg_catalog.bool_or(p ~ 'Index Cond: .*tenant_id = '), 'the policy is an index condition')
from pg_temp.plan_of('select id from integrations.integration_instances') as p;

select * from finish();
rollback;
