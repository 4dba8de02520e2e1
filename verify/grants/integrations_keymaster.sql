-- Verify integrations:grants/integrations_keymaster on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

-- All that the role has on tables of the package, nothing else: whole tables first, then columns.
-- What it has on refresh_leases came by a later change, which is verified by itself.
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
       and c.relname <> 'refresh_leases'
       and a.grantee = pg_catalog.to_regrole('integrations_keymaster')
  ) is distinct from array[
    'integrations_private.audit_log INSERT',
    'integrations_private.key_encryption_keys INSERT',
    'integrations_private.key_encryption_keys SELECT',
    'integrations_private.tenant_keys SELECT'
  ] then
    raise exception 'verify grants/integrations_keymaster: the privileges on tables differ';
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
       and c.relname <> 'refresh_leases'
       and a.grantee = pg_catalog.to_regrole('integrations_keymaster')
  ) is distinct from array[
    'integrations.integration_instances.credentials_expire_at SELECT',
    'integrations.integration_instances.credentials_key_id SELECT',
    'integrations.integration_instances.credentials_version SELECT',
    'integrations.integration_instances.id SELECT',
    'integrations.integration_instances.status SELECT',
    'integrations.integration_instances.tenant_id SELECT',
    'integrations_private.audit_log.at SELECT',
    'integrations_private.tenant_keys.kek_id UPDATE',
    'integrations_private.tenant_keys.state UPDATE',
    'integrations_private.tenant_keys.updated_at UPDATE',
    'integrations_private.tenant_keys.wrapped UPDATE'
  ] then
    raise exception 'verify grants/integrations_keymaster: the privileges on columns differ';
  end if;
end
$verify$;

rollback;
