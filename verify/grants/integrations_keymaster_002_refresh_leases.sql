-- Verify integrations:grants/integrations_keymaster_002_refresh_leases on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

-- All that the role has on the table: nothing on the whole of it, and these columns.
do $verify$
begin
  if exists (
    select
      from pg_catalog.pg_class as c
           cross join lateral pg_catalog.aclexplode(c.relacl) as a
     where c.oid = pg_catalog.to_regclass('integrations_private.refresh_leases')
       and a.grantee = pg_catalog.to_regrole('integrations_keymaster')
  ) then
    raise exception
      'verify grants/integrations_keymaster_002_refresh_leases: a privilege on the whole table';
  end if;

  if (
    select pg_catalog.array_agg(p.privilege order by p.privilege collate "C")
      from pg_catalog.pg_attribute as t
           cross join lateral pg_catalog.aclexplode(t.attacl) as a
           cross join lateral (
             select t.attname || ' ' || a.privilege_type
                    || case when a.is_grantable then ' with grant option' else '' end
           ) as p (privilege)
     where t.attrelid = pg_catalog.to_regclass('integrations_private.refresh_leases')
       and a.grantee = pg_catalog.to_regrole('integrations_keymaster')
  ) is distinct from array[
    'credentials_version SELECT',
    'instance_id SELECT',
    'leased_until SELECT',
    'refreshed_at SELECT',
    'retry_at SELECT',
    'tenant_id SELECT'
  ] then
    raise exception
      'verify grants/integrations_keymaster_002_refresh_leases: the privileges on columns differ';
  end if;
end
$verify$;

rollback;
