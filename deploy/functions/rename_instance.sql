-- Deploy integrations:functions/rename_instance to pg
-- requires: functions/lock_instance
-- requires: functions/check_name
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Also a disabled or revoked one: a name only helps people to tell instances apart.
create function integrations.rename_instance(instance_id uuid, name text)
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
  perform integrations_private.check_name(rename_instance.name);
  v_instance := integrations_private.lock_instance(rename_instance.instance_id);

  update integrations.integration_instances as i
     set name = rename_instance.name, updated_at = v_now
   where i.tenant_id = v_instance.tenant_id
     and i.id = v_instance.id;

  perform integrations_private.write_audit(v_instance.tenant_id, v_instance.id, 'instance_renamed');
end;
$function$;

alter function integrations.rename_instance(uuid, text) owner to integrations_owner;

comment on function integrations.rename_instance(uuid, text) is
$$Renames an instance.
Callable by integrations_tenant, svc_integration. Errors: 22023 bad name, 23505 the tenant uses
the name already, IN001 no tenant, IN201 not found.$$;

revoke all on function integrations.rename_instance(uuid, text) from public;
grant execute on function integrations.rename_instance(uuid, text)
to integrations_tenant, svc_integration;

commit;
