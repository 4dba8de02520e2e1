-- Deploy integrations:functions/update_config to pg
-- requires: functions/lock_instance
-- requires: functions/require_usable
-- requires: functions/check_config
-- requires: functions/schema_violation
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

create function integrations.update_config(instance_id uuid, config jsonb)
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
  v_violation text;
begin
  perform integrations_private.check_config(update_config.config);
  v_instance := integrations_private.lock_instance(update_config.instance_id);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);

  v_violation := integrations_private.schema_violation(
    v_instance.integration_id, 'config', update_config.config);
  if v_violation is not null then
    raise exception 'config does not fit the schema of the definition'
      using errcode = 'IN203', detail = v_violation,
            hint = 'The schema is config_schema of the definition.';
  end if;

  update integrations.integration_instances as i
     set config = update_config.config, updated_at = v_now
   where i.tenant_id = v_instance.tenant_id
     and i.id = v_instance.id;

  perform integrations_private.write_audit(v_instance.tenant_id, v_instance.id, 'config_updated');
end;
$function$;

alter function integrations.update_config(uuid, jsonb) owner to integrations_owner;

comment on function integrations.update_config(uuid, jsonb) is
$$Replaces the configuration of an instance.
Callable by integrations_tenant, svc_integration. Errors: 22023 not a JSON object of at most 64
KiB, IN001 no tenant, IN201 not found, IN202 disabled or revoked, IN203 it does not fit.$$;

revoke all on function integrations.update_config(uuid, jsonb) from public;
grant execute on function integrations.update_config(uuid, jsonb)
to integrations_tenant, svc_integration;

commit;
