-- Verify integrations:tables/audit_log on pg

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
     where a.attrelid = pg_catalog.to_regclass('integrations_private.audit_log')
       and a.attnum > 0
       and not a.attisdropped
  ) is distinct from array[
    'tenant_id uuid not null',
    'id uuid not null default gen_random_uuid()',
    'at timestamp with time zone not null default clock_timestamp()',
    'instance_id uuid',
    'event text not null',
    'actor text not null default'
    ' COALESCE(NULLIF(current_setting(''role''::text), ''none''::text), (SESSION_USER)::text)',
    'session_actor text not null default SESSION_USER',
    'application text default NULLIF(current_setting(''application_name''::text), ''''::text)',
    'detail jsonb not null default ''{}''::jsonb'
  ] then
    raise exception 'verify tables/audit_log: the columns differ';
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
     where c.oid = pg_catalog.to_regclass('integrations_private.audit_log')
  ) is not true then
    raise exception 'verify tables/audit_log: owner, row-level security or comments differ';
  end if;

  -- What the package's own roles have is verified with their grants; nobody else has anything.
  if exists (
    select
      from (
        select c.relacl as acl
          from pg_catalog.pg_class as c
         where c.oid = pg_catalog.to_regclass('integrations_private.audit_log')
         union all
        select a.attacl
          from pg_catalog.pg_attribute as a
         where a.attrelid = pg_catalog.to_regclass('integrations_private.audit_log')
      ) as p
      cross join lateral pg_catalog.aclexplode(p.acl) as a
     where a.grantee::pg_catalog.regrole::text not in (
             'integrations_admin', 'integrations_auditor', 'integrations_keymaster',
             'integrations_owner', 'integrations_tenant', 'svc_integration')
  ) then
    raise exception 'verify tables/audit_log: somebody else has a privilege';
  end if;

  -- Not-null constraints are left out: they are columns' properties, and constraints only since 18.
  if (
    select pg_catalog.array_agg(c.conname::text order by c.conname::text collate "C")
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

  if exists (
    select
      from pg_catalog.pg_constraint as c
     where c.conrelid = pg_catalog.to_regclass('integrations_private.audit_log')
       and c.contype = 'c'
       and pg_catalog.obj_description(c.oid, 'pg_constraint') is null
  ) then
    raise exception 'verify tables/audit_log: a rule has no comment';
  end if;

  if (
    select pg_catalog.bool_and(i.indisvalid)
      from pg_catalog.pg_index as i
     where i.indexrelid = pg_catalog.to_regclass('integrations_private.audit_log_at_idx')
       and i.indrelid = pg_catalog.to_regclass('integrations_private.audit_log')
  ) is not true then
    raise exception 'verify tables/audit_log: an index is missing or invalid';
  end if;
end
$verify$;

rollback;
