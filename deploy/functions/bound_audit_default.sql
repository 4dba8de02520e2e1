-- Deploy integrations:functions/bound_audit_default to pg
-- requires: tables/audit_log_default
-- requires: functions/month_of
-- requires: functions/add_audit_partition

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- No row moves: the table changes its name and its place. PostgreSQL reads it once, to be sure of
-- the bounds. A CHECK could spare that reading only if it came in a transaction before: and in the
-- meantime it would refuse the entries of later months.
create function integrations_private.bound_audit_default(since timestamptz, until timestamptz)
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
  v_table constant regclass := 'integrations_private.audit_log_default'::regclass;
  v_first constant text := pg_catalog.to_char(since at time zone 'UTC', 'YYYY_MM');
  v_last constant text := pg_catalog.to_char(
    integrations_private.month_of(until, -1) at time zone 'UTC', 'YYYY_MM');
  v_name constant text :=
    'audit_log_' || v_first || case when v_first <> v_last then '_to_' || v_last else '' end;
  v_index record;
  -- Whatever the session's way to write and read times.
  v_format constant text := 'YYYY-MM-DD HH24:MI:SS"Z"';
begin
  alter table integrations_private.audit_log
    detach partition integrations_private.audit_log_default;

  for v_index in
    select i.indexrelid::regclass as index, c.relname
      from pg_catalog.pg_index as i
           join pg_catalog.pg_class as c on c.oid = i.indexrelid
     where i.indrelid = v_table
  loop
    execute pg_catalog.format(
      'alter index %s rename to %I', v_index.index,
      pg_catalog.replace(v_index.relname, 'audit_log_default', v_name));
  end loop;
  execute pg_catalog.format('alter table %s rename to %I', v_table, v_name);
  execute pg_catalog.format(
    'comment on table %s is %L', v_table, 'Entries of the audit log of whole months, in UTC.');

  perform integrations_private.add_audit_partition(null, null);

  execute pg_catalog.format(
    'alter table integrations_private.audit_log attach partition %s for values from (%L) to (%L)',
    v_table,
    pg_catalog.to_char(since at time zone 'UTC', v_format),
    pg_catalog.to_char(until at time zone 'UTC', v_format));

  return v_table;
end;
$function$;

alter function integrations_private.bound_audit_default(timestamptz, timestamptz)
owner to integrations_owner;

comment on function integrations_private.bound_audit_default(timestamptz, timestamptz) is
$$Makes the default partition of the audit log one of whole months, with an empty default one in its
place, and returns it. Fails if it has entries of other months.$$;

revoke all on function integrations_private.bound_audit_default(timestamptz, timestamptz)
from public;
grant execute on function integrations_private.bound_audit_default(timestamptz, timestamptz)
to integrations_keymaster;

commit;
