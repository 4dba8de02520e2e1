-- Verify integrations:tables/integration_instances on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

-- Every column, with its exact type and default.
do $verify$
begin
  if (
    select pg_catalog.array_agg(
             pg_catalog.concat_ws(' ',
               a.attname,
               pg_catalog.format_type(a.atttypid, a.atttypmod),
               case when a.attnotnull then 'not null' end,
               case
                 when a.attgenerated = 's' then 'generated'
                 else 'default ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid)
               end)
             order by a.attnum)
      from pg_catalog.pg_attribute as a
           left join pg_catalog.pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = pg_catalog.to_regclass('integrations.integration_instances')
       and a.attnum > 0
       and not a.attisdropped
  ) is distinct from array[
    'tenant_id uuid not null',
    'id uuid not null default gen_random_uuid()',
    'integration_id uuid not null',
    'name character varying not null',
    'status integrations.integration_instance_status not null '
    'default ''pending''::integrations.integration_instance_status',
    'status_reason text',
    'credentials jsonb',
    'credentials_version integer not null default 0',
    'credentials_key_id uuid generated',
    'credentials_expire_at timestamp with time zone',
    'config jsonb not null default ''{}''::jsonb',
    'last_used_at timestamp with time zone',
    'last_connected_at timestamp with time zone',
    'created_at timestamp with time zone not null default now()',
    'updated_at timestamp with time zone not null default now()'
  ] then
    raise exception 'verify tables/integration_instances: the columns differ';
  end if;

  if (
    select c.relowner = pg_catalog.to_regrole('integrations_owner')
           and c.relrowsecurity
           and c.relforcerowsecurity
           and pg_catalog.obj_description(c.oid, 'pg_class') is not null
           and not exists (
             select from pg_catalog.pg_attribute as a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                and pg_catalog.col_description(c.oid, a.attnum) is null)
      from pg_catalog.pg_class as c
     where c.oid = pg_catalog.to_regclass('integrations.integration_instances')
  ) is not true then
    raise exception
      'verify tables/integration_instances: owner, row-level security or comments differ';
  end if;

  -- What the package's own roles have is verified with their grants; nobody else has anything.
  if exists (
    select
      from (
        select c.relacl as acl
          from pg_catalog.pg_class as c
         where c.oid = pg_catalog.to_regclass('integrations.integration_instances')
         union all
        select a.attacl
          from pg_catalog.pg_attribute as a
         where a.attrelid = pg_catalog.to_regclass('integrations.integration_instances')
      ) as p
      cross join lateral pg_catalog.aclexplode(p.acl) as a
     where a.grantee::pg_catalog.regrole::text not in (
             'integrations_admin', 'integrations_auditor', 'integrations_keymaster',
             'integrations_owner', 'integrations_tenant', 'svc_integration')
  ) then
    raise exception 'verify tables/integration_instances: somebody else has a privilege';
  end if;

  -- Not-null constraints are left out: they are columns' properties, and constraints only since 18.
  if (
    select pg_catalog.array_agg(c.conname::text order by c.conname::text collate "C")
           filter (where c.convalidated)
      from pg_catalog.pg_constraint as c
     where c.conrelid = pg_catalog.to_regclass('integrations.integration_instances')
       and c.contype <> 'n'
  ) is distinct from array[
    'integration_instances_config_is_object',
    'integration_instances_credentials_is_envelope',
    'integration_instances_credentials_key_id_fkey',
    'integration_instances_credentials_version_is_count',
    'integration_instances_integration_id_fkey',
    'integration_instances_name_is_valid',
    'integration_instances_pkey',
    'integration_instances_revoked_has_no_credentials',
    'integration_instances_status_reason_is_short',
    'integration_instances_tenant_id_name_key'
  ] then
    raise exception 'verify tables/integration_instances: the constraints differ';
  end if;

  if exists (
    select
      from pg_catalog.pg_constraint as c
     where c.conrelid = pg_catalog.to_regclass('integrations.integration_instances')
       and c.contype = 'c'
       and pg_catalog.obj_description(c.oid, 'pg_constraint') is null
  ) then
    raise exception 'verify tables/integration_instances: a rule has no comment';
  end if;

  if (
    select pg_catalog.count(*)
      from pg_catalog.pg_index as i
     where i.indrelid = pg_catalog.to_regclass('integrations.integration_instances')
       and i.indisvalid
       and i.indexrelid::pg_catalog.regclass::text in (
         'integrations.integration_instances_integration_id_idx',
         'integrations.integration_instances_tenant_id_credentials_key_id_idx',
         'integrations.integration_instances_tenant_id_created_at_idx',
         'integrations.integration_instances_credentials_expire_at_idx'
       )
  ) is distinct from 4 then
    raise exception 'verify tables/integration_instances: an index is missing or invalid';
  end if;

  if (
    select coalesce(a.attstattarget, -1) = 0
      from pg_catalog.pg_attribute as a
     where a.attrelid = pg_catalog.to_regclass('integrations.integration_instances')
       and a.attname = 'credentials'
  ) is not true then
    raise exception 'verify tables/integration_instances: statistics would be kept of credentials';
  end if;
end
$verify$;

rollback;
