-- Deploy integrations:functions/set_instance_status to pg
-- requires: functions/lock_instance
-- requires: functions/move_instance
-- requires: functions/quarantine_reason

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

create function integrations.set_instance_status(
  instance_id uuid,
  status integrations.integration_instance_status,
  reason text default null
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
  v_instance integrations.integration_instances;
begin
  if set_instance_status.status is null then
    raise exception 'status must not be null' using errcode = '22023';
  end if;
  -- The mark of quarantine keeps a row out of rotation: nobody may write it by hand.
  if set_instance_status.reason = integrations_private.quarantine_reason() then
    raise exception 'reason is reserved' using errcode = '22023';
  end if;

  v_instance := integrations_private.lock_instance(set_instance_status.instance_id);
  perform integrations_private.move_instance(
    v_instance, set_instance_status.status, set_instance_status.reason);
end;
$function$;

alter function integrations.set_instance_status(
  uuid,
  integrations.integration_instance_status,
  text
)
owner to integrations_owner;

comment on function integrations.set_instance_status(
  uuid,
  integrations.integration_instance_status,
  text
) is
$$Moves an instance through its life: between active, error and disabled, and from anywhere to
revoked, which is final and erases the credentials. The reason is cut to 1000 characters.
Callable by integrations_tenant, svc_integration. Errors: 22023 null or a reserved reason, IN001
no tenant, IN104 no such move, IN201 not found.$$;

revoke all on function integrations.set_instance_status(
  uuid,
  integrations.integration_instance_status,
  text
)
from public;
grant execute on function integrations.set_instance_status(
  uuid,
  integrations.integration_instance_status,
  text
)
to integrations_tenant, svc_integration;

commit;
