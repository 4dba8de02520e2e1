-- Verify integrations:tables/tenant_keys on pg

begin;
set local search_path = pg_catalog, pg_temp;

-- Every column, with its exact type.
do $verify$
begin
  if (
    select array_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
                     || case when a.attnotnull then ' not null' else '' end
                     order by a.attnum)
      from pg_catalog.pg_attribute as a
     where a.attrelid = pg_catalog.to_regclass('integrations_private.tenant_keys')
       and a.attnum > 0
       and not a.attisdropped
  ) is distinct from array[
    'tenant_id uuid not null',
    'id uuid not null',
    'version integer not null',
    'kek_id text not null',
    'wrapped bytea',
    'check_value bytea not null',
    'state integrations_private.tenant_key_state not null',
    'created_at timestamp with time zone not null',
    'updated_at timestamp with time zone not null'
  ] then
    raise exception 'verify tables/tenant_keys: the columns differ';
  end if;

  if (
    select c.relowner = pg_catalog.to_regrole('integrations_owner')
           and c.relrowsecurity = true
           and c.relforcerowsecurity = true
           and pg_catalog.obj_description(c.oid, 'pg_class') is not null
           and not exists (
             select from pg_catalog.pg_attribute as a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                and pg_catalog.col_description(c.oid, a.attnum) is null)
      from pg_catalog.pg_class as c
     where c.oid = pg_catalog.to_regclass('integrations_private.tenant_keys')
  ) is not true then
    raise exception 'verify tables/tenant_keys: owner, row-level security or comments differ';
  end if;

  -- Not-null constraints are left out: they are columns' properties, and constraints only since 18.
  if (
    select array_agg(c.conname::text order by c.conname::text collate "C")
           filter (where c.convalidated)
      from pg_catalog.pg_constraint as c
     where c.conrelid = pg_catalog.to_regclass('integrations_private.tenant_keys')
       and c.contype <> 'n'
  ) is distinct from array[
    'tenant_keys_check_value_is_mac',
    'tenant_keys_destroyed_has_no_key',
    'tenant_keys_kek_id_fkey',
    'tenant_keys_pkey',
    'tenant_keys_tenant_id_version_key',
    'tenant_keys_version_is_positive'
  ] then
    raise exception 'verify tables/tenant_keys: the constraints differ';
  end if;

  if (
    select count(*)
      from pg_catalog.pg_index as i
     where i.indrelid = pg_catalog.to_regclass('integrations_private.tenant_keys')
       and i.indisvalid
       and i.indexrelid::pg_catalog.regclass::text in (
         'integrations_private.tenant_keys_tenant_id_active_idx',
         'integrations_private.tenant_keys_kek_id_idx'
       )
  ) is distinct from 2 then
    raise exception 'verify tables/tenant_keys: an index is missing or invalid';
  end if;

  if (
    select bool_and(coalesce(a.attstattarget, -1) = 0)
      from pg_catalog.pg_attribute as a
     where a.attrelid = pg_catalog.to_regclass('integrations_private.tenant_keys')
       and a.attname in ('wrapped', 'check_value')
  ) is not true then
    raise exception 'verify tables/tenant_keys: statistics would be kept of key material';
  end if;
end
$verify$;

rollback;
