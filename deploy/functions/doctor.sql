-- Deploy integrations:functions/doctor to pg
-- requires: grants/integrations_keymaster
-- requires: functions/examine_settings
-- requires: functions/examine_connections
-- requires: functions/examine_roles
-- requires: functions/examine_objects
-- requires: functions/examine_data

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

create function integrations.doctor()
returns table (
  check_name text,
  status text,
  detail text
)
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
begin
  return query
    select e.check_name, e.status, e.detail
      from integrations_private.examine_settings() as e;
  return query
    select e.check_name, e.status, e.detail
      from integrations_private.examine_connections(
             pg_catalog.current_setting('ssl')::boolean,
             pg_catalog.current_setting('listen_addresses')) as e;
  return query
    select e.check_name, e.status, e.detail
      from integrations_private.examine_roles() as e;
  return query
    select e.check_name, e.status, e.detail
      from integrations_private.examine_objects() as e;
  return query
    select e.check_name, e.status, e.detail
      from integrations_private.examine_data(interval '1 hour') as e;
end;
$function$;

-- Giving a function away needs CREATE on its schema for the new owner, for this moment only.
grant create on schema integrations to integrations_keymaster;
alter function integrations.doctor() owner to integrations_keymaster;
revoke create on schema integrations from integrations_keymaster;

comment on function integrations.doctor() is
$$Examines this deployment for known hazards, and returns a row for each: its status (ok, warn,
fail) and, in detail, what to do. Changes nothing. Says warn where it may not look.
Callable by integrations_admin. Errors: none.$$;

revoke all on function integrations.doctor() from public;
grant execute on function integrations.doctor() to integrations_admin;

commit;
