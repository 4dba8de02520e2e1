-- Row-level security, on every table with a tenant, partitions included.
begin;
select * from no_plan();

select results_eq(
  pg_catalog.format(
    'select relrowsecurity, relforcerowsecurity from pg_catalog.pg_class where oid = %s', c.oid),
  'values (true, true)', c.oid::regclass || ' has row-level security, also for its owner')
from pg_catalog.pg_class as c
     join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attname = 'tenant_id'
where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and c.relkind in ('r', 'p')
order by c.oid::regclass::text;
select set_eq(
  $$
    select c.oid::regclass::text
      from pg_catalog.pg_class as c
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and c.relkind in ('r', 'p')
       and not (c.relrowsecurity and c.relforcerowsecurity)
  $$,
  array[
    'integrations.integration_definitions', 'integrations_private.compiled_schemas',
    'integrations_private.key_encryption_keys'
  ],
  'without it are only the three tables that hold nothing of a tenant');
select set_eq(
  $$
    select p.polrelid::regclass::text, p.polname::text, p.polpermissive, p.polcmd::text,
           pg_catalog.array_to_string(
             array(select r::regrole::text collate "C"
                     from pg_catalog.unnest(p.polroles) as r order by 1), ' '),
           pg_catalog.pg_get_expr(p.polqual, p.polrelid) as condition,
           pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) as check
      from pg_catalog.pg_policy as p
           join pg_catalog.pg_class as c on c.oid = p.polrelid
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  $$,
  $$
    select t.relation, t.policy, true, t.command, t.roles, t.condition,
           case when t.command = '*' then t.condition end
      from (
        values
          ('integrations.integration_instances', 'tenant_all', '*',
           'integrations_owner integrations_tenant svc_integration',
           '(tenant_id = integrations.current_tenant())'),
          ('integrations.integration_instances', 'auditor_select', 'r',
           'integrations_auditor', 'true'),
          ('integrations.integration_instances', 'keymaster_select', 'r',
           'integrations_keymaster', 'true'),
          ('integrations_private.tenant_keys', 'tenant_all', '*',
           'integrations_owner integrations_tenant svc_integration',
           '(tenant_id = integrations.current_tenant())'),
          ('integrations_private.tenant_keys', 'keymaster_all', '*',
           'integrations_keymaster', 'true'),
          ('integrations_private.refresh_leases', 'tenant_all', '*',
           'integrations_owner integrations_tenant svc_integration',
           '(tenant_id = integrations.current_tenant())'),
          ('integrations_private.refresh_leases', 'keymaster_select', 'r',
           'integrations_keymaster', 'true'),
          ('integrations_private.read_leases', 'tenant_all', '*',
           'integrations_owner integrations_tenant svc_integration',
           '(tenant_id = integrations.current_tenant())'),
          ('integrations_private.audit_log', 'tenant_all', '*',
           'integrations_owner integrations_tenant svc_integration',
           '(tenant_id = integrations.current_tenant())'),
          ('integrations_private.audit_log', 'auditor_select', 'r',
           'integrations_auditor', 'true'),
          ('integrations_private.audit_log', 'keymaster_all', '*',
           'integrations_keymaster', 'true')
      ) as t (relation, policy, command, roles, condition)
  $$,
  'the policies are these, all permissive; a second one would only widen the first');

-- Two of them would be tried one after the other for each row, and the wider one wins.
select is_empty(
  $$
    select p.polrelid::regclass, r::regrole, c as command,
           pg_catalog.string_agg(p.polname, ' ' order by p.polname)
      from pg_catalog.pg_policy as p
           join pg_catalog.pg_class as t on t.oid = p.polrelid
           cross join pg_catalog.unnest(p.polroles) as r
           cross join pg_catalog.unnest(array['r', 'a', 'w', 'd']::"char"[]) as c
     where t.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.polcmd in ('*', c)
     group by p.polrelid, r, c
    having pg_catalog.count(*) > 1
  $$,
  'at most one policy is for a role and a command');
select is_empty(
  $$
    select p.polrelid::regclass, p.polname
      from pg_catalog.pg_policy as p
           join pg_catalog.pg_class as c on c.oid = p.polrelid
     where not c.relrowsecurity
  $$,
  'no policy is on a table where it does not count');
select set_eq(
  $$
    select c.oid::regclass::text
      from pg_catalog.pg_class as c
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and c.relrowsecurity
       and not c.relispartition
       and not exists (select from pg_catalog.pg_policy as p where p.polrelid = c.oid)
  $$,
  array[]::text[],
  'only a partition is closed to all: its parent is the way in');
-- A condition that may change from row to row is no condition of an index, and a sub-select, the
-- other way to have it computed once, is refused by Citus.
select set_eq(
  $$
    select distinct p.oid::regprocedure::text, p.provolatile::text, p.proparallel::text
      from pg_catalog.pg_depend as d
           join pg_catalog.pg_proc as p on p.oid = d.refobjid
     where d.classid = 'pg_catalog.pg_policy'::regclass
       and d.refclassid = 'pg_catalog.pg_proc'::regclass
  $$,
  $$ values ('integrations.current_tenant()', 's', 's') $$,
  'policies call current_tenant alone, which is STABLE');

-- A partition inherits its parent's row triggers, but no guard against TRUNCATE.
select is(
  (select pg_catalog.count(*)
     from pg_catalog.pg_trigger as t
    where t.tgrelid = i.relid
      and not t.tgisinternal
      and t.tgfoid = 'integrations_private.tg_audit_log__append_only()'::regprocedure
      -- 34 = before truncate, for each statement.
      and t.tgtype = 34
      and t.tgenabled = 'A'),
  1::bigint, i.relid || ' has its own guard against TRUNCATE, always enabled')
from pg_catalog.pg_partition_tree('integrations_private.audit_log') as i
order by i.relid::text;
select is(
  (select pg_catalog.count(*)
     from pg_catalog.pg_trigger as t
    where t.tgrelid = i.relid
      and t.tgfoid = 'integrations_private.tg_audit_log__append_only()'::regprocedure
      -- 27 = before update or delete, for each row.
      and t.tgtype = 27
      and t.tgenabled = 'A'),
  1::bigint, i.relid || ' refuses UPDATE and DELETE, always')
from pg_catalog.pg_partition_tree('integrations_private.audit_log') as i
order by i.relid::text;
select is_empty(
  $$
    select t.tgrelid::regclass, t.tgname
      from pg_catalog.pg_trigger as t
           join pg_catalog.pg_class as c on c.oid = t.tgrelid
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and not t.tgisinternal
       and t.tgenabled <> 'A'
  $$,
  'every trigger fires always');

select results_eq(
  pg_catalog.format(
    $$ select r.rolsuper, r.rolbypassrls from pg_catalog.pg_roles as r where r.oid = %s $$,
    o.owner),
  'values (false, false)', 'row-level security holds for ' || o.owner::regrole)
from (
  select distinct p.proowner as owner
    from pg_catalog.pg_proc as p
   where p.pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
) as o;
select is(
  (select pg_catalog.array_agg(o order by o) from pg_catalog.unnest(c.reloptions) as o),
  array['security_barrier=true', 'security_invoker=true'],
  'the view ' || c.oid::regclass || ' shows what its caller may see')
from pg_catalog.pg_class as c
where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and c.relkind = 'v'
order by c.oid::regclass::text;
select is_empty(
  $$
    select d.objid
      from pg_catalog.pg_depend as d
           join pg_catalog.pg_attribute as a
             on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
     where d.classid = 'pg_catalog.pg_rewrite'::regclass
       and d.refclassid = 'pg_catalog.pg_class'::regclass
       and d.refobjid = 'integrations.integration_instances'::regclass
       and a.attname = 'credentials'
  $$,
  'no view reads credentials');

select * from finish();
rollback;
