-- Verify integrations:views/key_overview on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

do $verify$
begin
  if (
    select pg_catalog.array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
                                order by a.attnum)
      from pg_catalog.pg_attribute as a
     where a.attrelid = pg_catalog.to_regclass('integrations.key_overview')
       and a.attnum > 0
  ) is distinct from array[
    'tenant_id uuid',
    'key_id uuid',
    'version integer',
    'kek_id text',
    'state text',
    'instance_count bigint',
    'created_at timestamp with time zone'
  ] then
    raise exception 'verify views/key_overview: the columns differ';
  end if;

  -- Without security_invoker the view would show what its owner may see.
  if (
    select c.relowner = pg_catalog.to_regrole('integrations_owner')
           and c.reloptions @> array['security_invoker=true', 'security_barrier=true']
           and pg_catalog.obj_description(c.oid, 'pg_class') is not null
      from pg_catalog.pg_class as c
     where c.oid = pg_catalog.to_regclass('integrations.key_overview')
  ) is not true then
    raise exception 'verify views/key_overview: owner, security options or comment differ';
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
     where c.oid = pg_catalog.to_regclass('integrations.key_overview')
       and a.grantee <> c.relowner
  ) is distinct from array['integrations_admin SELECT'] then
    raise exception 'verify views/key_overview: the privileges differ';
  end if;
end
$verify$;

rollback;
