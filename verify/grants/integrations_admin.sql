-- Verify integrations:grants/integrations_admin on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

-- All that the role has on tables of the package, nothing else: whole tables first, then columns.
do $verify$
begin
  if (
    select pg_catalog.array_agg(p.privilege order by p.privilege collate "C")
      from pg_catalog.pg_class as c
           cross join lateral pg_catalog.aclexplode(c.relacl) as a
           cross join lateral (
             select c.oid::pg_catalog.regclass || ' ' || a.privilege_type
                    || case when a.is_grantable then ' with grant option' else '' end
           ) as p (privilege)
     where c.relnamespace in (pg_catalog.to_regnamespace('integrations'),
                              pg_catalog.to_regnamespace('integrations_private'))
       and c.relkind in ('r', 'p')
       and a.grantee = pg_catalog.to_regrole('integrations_admin')
  ) is distinct from array[
    'integrations.integration_definitions SELECT'
  ] then
    raise exception 'verify grants/integrations_admin: the privileges on tables differ';
  end if;

  if (
    select pg_catalog.array_agg(p.privilege order by p.privilege collate "C")
      from pg_catalog.pg_attribute as t
           join pg_catalog.pg_class as c on c.oid = t.attrelid
           cross join lateral pg_catalog.aclexplode(t.attacl) as a
           cross join lateral (
             select c.oid::pg_catalog.regclass || '.' || t.attname || ' ' || a.privilege_type
                    || case when a.is_grantable then ' with grant option' else '' end
           ) as p (privilege)
     where c.relnamespace in (pg_catalog.to_regnamespace('integrations'),
                              pg_catalog.to_regnamespace('integrations_private'))
       and a.grantee = pg_catalog.to_regrole('integrations_admin')
  ) is distinct from null::text[] then
    raise exception 'verify grants/integrations_admin: the privileges on columns differ';
  end if;
end
$verify$;

rollback;
