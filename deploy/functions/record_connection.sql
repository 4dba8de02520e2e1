-- Deploy integrations:functions/record_connection to pg
-- requires: functions/lock_instance
-- requires: functions/require_usable
-- requires: functions/move_instance
-- requires: functions/quarantine_reason

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Only a change of status is audited and touches updated_at: connections are frequent.
create function integrations.record_connection(
  instance_id uuid,
  ok boolean,
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
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_instance integrations.integration_instances;
begin
  if record_connection.ok is null then
    raise exception 'ok must not be null' using errcode = '22023';
  end if;
  if record_connection.reason = integrations_private.quarantine_reason() then
    raise exception 'reason is reserved' using errcode = '22023';
  end if;

  v_instance := integrations_private.lock_instance(record_connection.instance_id);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);

  if record_connection.ok then
    if v_instance.status = 'error' then
      perform integrations_private.move_instance(v_instance, 'active', null);
    end if;

    update integrations.integration_instances as i
       set last_connected_at = v_now
     where i.tenant_id = v_instance.tenant_id
       and i.id = v_instance.id;
  elsif v_instance.status = 'error' then
    -- Quarantine has a reason of its own, which keeps the row out of rotation.
    update integrations.integration_instances as i
       set status_reason = pg_catalog.left(record_connection.reason, 1000)
     where i.tenant_id = v_instance.tenant_id
       and i.id = v_instance.id
       and i.status_reason is distinct from integrations_private.quarantine_reason();
  else
    perform integrations_private.move_instance(v_instance, 'error', record_connection.reason);
  end if;
end;
$function$;

alter function integrations.record_connection(uuid, boolean, text) owner to integrations_owner;

comment on function integrations.record_connection(uuid, boolean, text) is
$$Records how a connection to the outside service went. A good one stamps last_connected_at and ends
an error; a failed one moves an active instance to error, with a reason cut to 1000 characters. The
reason of quarantine stays.
Callable by svc_integration. Errors: 22023 null or a reserved reason, IN001 no tenant, IN104
failure of a pending instance, IN201 not found, IN202 disabled or revoked.$$;

revoke all on function integrations.record_connection(uuid, boolean, text) from public;
grant execute on function integrations.record_connection(uuid, boolean, text) to svc_integration;

commit;
