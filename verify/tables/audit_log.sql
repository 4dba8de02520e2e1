-- Verify integrations:tables/audit_log on pg

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
     where a.attrelid = pg_catalog.to_regclass('integrations_private.audit_log')
       and a.attnum > 0
       and not a.attisdropped
  ) is distinct from array[
    'tenant_id uuid not null',
    'id uuid not null',
    'at timestamp with time zone not null',
    'instance_id uuid',
    'event text not null',
    'actor text not null',
    'session_actor text not null',
    'application text',
    'detail jsonb not null'
  ] then
    raise exception 'verify tables/audit_log: the columns differ';
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
     where c.oid = pg_catalog.to_regclass('integrations_private.audit_log')
  ) is not true then
    raise exception 'verify tables/audit_log: owner, row-level security or comments differ';
  end if;

  -- Not-null constraints are left out: they are columns' properties, and constraints only since 18.
  if (
    select array_agg(c.conname::text order by c.conname::text collate "C")
           filter (where c.convalidated)
      from pg_catalog.pg_constraint as c
     where c.conrelid = pg_catalog.to_regclass('integrations_private.audit_log')
       and c.contype <> 'n'
  ) is distinct from array[
    'audit_log_detail_is_object',
    'audit_log_event_is_valid',
    'audit_log_pkey'
  ] then
    raise exception 'verify tables/audit_log: the constraints differ';
  end if;
end
$verify$;

rollback;
