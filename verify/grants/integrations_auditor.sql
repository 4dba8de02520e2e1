-- Verify integrations:grants/integrations_auditor on pg

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
       and a.grantee = pg_catalog.to_regrole('integrations_auditor')
  ) is distinct from array[
    'integrations.integration_definitions SELECT'
  ] then
    raise exception 'verify grants/integrations_auditor: the privileges on tables differ';
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
       and a.grantee = pg_catalog.to_regrole('integrations_auditor')
  ) is distinct from array[
    'integrations.integration_instances.config SELECT',
    'integrations.integration_instances.created_at SELECT',
    'integrations.integration_instances.credentials_expire_at SELECT',
    'integrations.integration_instances.credentials_key_id SELECT',
    'integrations.integration_instances.credentials_version SELECT',
    'integrations.integration_instances.id SELECT',
    'integrations.integration_instances.integration_id SELECT',
    'integrations.integration_instances.last_connected_at SELECT',
    'integrations.integration_instances.last_used_at SELECT',
    'integrations.integration_instances.name SELECT',
    'integrations.integration_instances.status SELECT',
    'integrations.integration_instances.status_reason SELECT',
    'integrations.integration_instances.tenant_id SELECT',
    'integrations.integration_instances.updated_at SELECT',
    'integrations_private.audit_log.actor SELECT',
    'integrations_private.audit_log.application SELECT',
    'integrations_private.audit_log.at SELECT',
    'integrations_private.audit_log.detail SELECT',
    'integrations_private.audit_log.event SELECT',
    'integrations_private.audit_log.id SELECT',
    'integrations_private.audit_log.instance_id SELECT',
    'integrations_private.audit_log.session_actor SELECT',
    'integrations_private.audit_log.tenant_id SELECT'
  ] then
    raise exception 'verify grants/integrations_auditor: the privileges on columns differ';
  end if;
end
$verify$;

rollback;
