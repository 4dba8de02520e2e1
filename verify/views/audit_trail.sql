-- Verify integrations:views/audit_trail on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

do $verify$
begin
  if (
    select pg_catalog.array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
                                order by a.attnum)
      from pg_catalog.pg_attribute as a
     where a.attrelid = pg_catalog.to_regclass('integrations.audit_trail')
       and a.attnum > 0
  ) is distinct from array[
    'tenant_id uuid',
    'at timestamp with time zone',
    'id uuid',
    'event text',
    'instance_id uuid',
    'actor text',
    'session_actor text',
    'application text',
    'detail jsonb'
  ] then
    raise exception 'verify views/audit_trail: the columns differ';
  end if;

  -- Without security_invoker the view would show what its owner may see.
  if (
    select c.relowner = pg_catalog.to_regrole('integrations_owner')
           and c.reloptions @> array['security_invoker=true', 'security_barrier=true']
           and pg_catalog.obj_description(c.oid, 'pg_class') is not null
      from pg_catalog.pg_class as c
     where c.oid = pg_catalog.to_regclass('integrations.audit_trail')
  ) is not true then
    raise exception 'verify views/audit_trail: owner, security options or comment differ';
  end if;

  if (
    select pg_catalog.array_agg(r.role || ' ' || a.privilege_type
                                order by (r.role || ' ' || a.privilege_type) collate "C")
      from pg_catalog.pg_class as c
           cross join lateral pg_catalog.aclexplode(c.relacl) as a
           cross join lateral (
             select a.grantee::pg_catalog.regrole
                    || case when a.is_grantable then ' with grant option' else '' end
           ) as r (role)
     where c.oid = pg_catalog.to_regclass('integrations.audit_trail')
       and a.grantee <> c.relowner
  ) is distinct from array['integrations_auditor SELECT'] then
    raise exception 'verify views/audit_trail: the privileges differ';
  end if;
end
$verify$;

rollback;
