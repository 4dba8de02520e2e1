-- Deploy integrations:functions/lock_audit_log to pg
-- requires: tables/audit_log

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Whoever writes or reads entries locks the log first, and then partitions: in another order, two
-- could wait for each other. All waiting of maintenance is done here, within one span of patience:
-- from its first strong lock on, the others wait behind it.
create function integrations_private.lock_audit_log(
  exclusive boolean,
  partitions regclass[],
  patience interval
)
returns void
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
  v_former constant text := pg_catalog.current_setting('lock_timeout');
  v_until constant timestamptz := pg_catalog.clock_timestamp() + patience;
  v_milliseconds integer := greatest(1, extract(epoch from patience) * 1000)::integer;
  v_partition regclass;
begin
  perform pg_catalog.set_config('lock_timeout', v_milliseconds::text, true);
  if exclusive then
    lock table only integrations_private.audit_log in access exclusive mode;
  else
    lock table only integrations_private.audit_log in share update exclusive mode;
  end if;

  foreach v_partition in array partitions loop
    v_milliseconds :=
      greatest(1, extract(epoch from v_until - pg_catalog.clock_timestamp()) * 1000)::integer;
    perform pg_catalog.set_config('lock_timeout', v_milliseconds::text, true);
    execute pg_catalog.format('lock table %s in access exclusive mode', v_partition);
  end loop;

  perform pg_catalog.set_config('lock_timeout', v_former, true);
end;
$function$;

alter function integrations_private.lock_audit_log(boolean, regclass[], interval)
owner to integrations_owner;

comment on function integrations_private.lock_audit_log(boolean, regclass[], interval) is
$$Locks the audit log, against everybody or only against other maintenance, and these of its
partitions against everybody. Waits no longer than the patience in all; then 55P03.$$;

revoke all on function integrations_private.lock_audit_log(boolean, regclass[], interval)
from public;
grant execute on function integrations_private.lock_audit_log(boolean, regclass[], interval)
to integrations_keymaster;

commit;
