-- Deploy integrations:functions/add_audit_partition to pg
-- requires: tables/audit_log
-- requires: triggers/audit_log_append_only

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Made first and attached then: CREATE TABLE ... PARTITION OF would lock the log against everybody,
-- ATTACH locks the default partition only. A partition is a table in its own right: it has neither
-- its parent's row-level security nor its TRUNCATE guard. It gets no policies: nobody comes in but
-- through the parent.
create function integrations_private.add_audit_partition(since timestamptz, until timestamptz)
returns regclass
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set plpgsql.print_strict_params = off
set debug_print_plan = off
set debug_print_parse = off
set debug_print_rewritten = off
as $function$
declare
  v_name constant text :=
    'audit_log_' || coalesce(pg_catalog.to_char(since at time zone 'UTC', 'YYYY_MM'), 'default');
  v_table constant text := pg_catalog.format('integrations_private.%I', v_name);
  v_grantee text;
  -- Whatever the session's way to write and read times.
  v_format constant text := 'YYYY-MM-DD HH24:MI:SS"Z"';
begin
  execute pg_catalog.format(
    'create table %s (like integrations_private.audit_log'
    ' including comments including constraints including defaults)', v_table);
  execute pg_catalog.format('alter table %s enable row level security', v_table);
  execute pg_catalog.format('alter table %s force row level security', v_table);
  execute pg_catalog.format(
    'comment on table %s is %L', v_table,
    case
      when since is null
      then 'Entries of the audit log of months without a partition of their own.'
      else 'Entries of the audit log of one month, in UTC.'
    end);

  -- Default privileges of the owner would give it to others. PUBLIC is no role that is found.
  for v_grantee in
    select distinct coalesce(r.rolname, 'public')::text
      from pg_catalog.pg_class as c
           cross join lateral pg_catalog.aclexplode(c.relacl) as a
           left join pg_catalog.pg_roles as r on r.oid = a.grantee
     where c.oid = v_table::regclass
       and a.grantee <> c.relowner
  loop
    execute pg_catalog.format('revoke all on %s from %I', v_table, v_grantee);
  end loop;

  execute pg_catalog.format(
    'create trigger _110_no_truncate before truncate on %s'
    ' for each statement execute function integrations_private.tg_audit_log__append_only()',
    v_table);
  execute pg_catalog.format(
    'comment on trigger _110_no_truncate on %s is %L', v_table, 'Refuses to empty the partition.');
  execute pg_catalog.format('alter table %s enable always trigger _110_no_truncate', v_table);

  if since is null then
    execute pg_catalog.format(
      'alter table integrations_private.audit_log attach partition %s default', v_table);
  else
    execute pg_catalog.format(
      'alter table integrations_private.audit_log attach partition %s'
      ' for values from (%L) to (%L)',
      v_table,
      pg_catalog.to_char(since at time zone 'UTC', v_format),
      pg_catalog.to_char(until at time zone 'UTC', v_format));
  end if;

  return v_table::regclass;
end;
$function$;

alter function integrations_private.add_audit_partition(timestamptz, timestamptz)
owner to integrations_owner;

comment on function integrations_private.add_audit_partition(timestamptz, timestamptz) is
$$Adds a month's partition to the audit log, or the default one (NULL), guarded like every other,
and returns it.$$;

revoke all on function integrations_private.add_audit_partition(timestamptz, timestamptz)
from public;
grant execute on function integrations_private.add_audit_partition(timestamptz, timestamptz)
to integrations_keymaster;

commit;
