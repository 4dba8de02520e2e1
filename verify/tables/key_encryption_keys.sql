-- Verify integrations:tables/key_encryption_keys on pg

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
     where a.attrelid = pg_catalog.to_regclass('integrations_private.key_encryption_keys')
       and a.attnum > 0
       and not a.attisdropped
  ) is distinct from array[
    'kek_id text not null',
    'check_value bytea not null',
    'created_at timestamp with time zone not null'
  ] then
    raise exception 'verify tables/key_encryption_keys: the columns differ';
  end if;

  if (
    select c.relowner = pg_catalog.to_regrole('integrations_owner')
           and c.relrowsecurity = false
           and c.relforcerowsecurity = false
           and pg_catalog.obj_description(c.oid, 'pg_class') is not null
           and not exists (
             select from pg_catalog.pg_attribute as a
              where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                and pg_catalog.col_description(c.oid, a.attnum) is null)
      from pg_catalog.pg_class as c
     where c.oid = pg_catalog.to_regclass('integrations_private.key_encryption_keys')
  ) is not true then
    raise exception
      'verify tables/key_encryption_keys: owner, row-level security or comments differ';
  end if;

  -- Not-null constraints are left out: they are columns' properties, and constraints only since 18.
  if (
    select array_agg(c.conname::text order by c.conname::text collate "C")
           filter (where c.convalidated)
      from pg_catalog.pg_constraint as c
     where c.conrelid = pg_catalog.to_regclass('integrations_private.key_encryption_keys')
       and c.contype <> 'n'
  ) is distinct from array[
    'key_encryption_keys_check_value_is_mac',
    'key_encryption_keys_kek_id_is_valid',
    'key_encryption_keys_pkey'
  ] then
    raise exception 'verify tables/key_encryption_keys: the constraints differ';
  end if;
end
$verify$;

rollback;
