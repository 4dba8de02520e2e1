-- Deploy integrations:functions/delete_instance to pg
-- requires: functions/lock_instance
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

create function integrations.delete_instance(instance_id uuid)
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
  v_instance := integrations_private.lock_instance(delete_instance.instance_id);

  delete from integrations.integration_instances as i
   where i.tenant_id = v_instance.tenant_id
     and i.id = v_instance.id;

  perform integrations_private.write_audit(v_instance.tenant_id, v_instance.id, 'instance_deleted');
end;
$function$;

alter function integrations.delete_instance(uuid) owner to integrations_owner;

comment on function integrations.delete_instance(uuid) is
$$Deletes an instance with its credentials. Its audit entries stay.
Callable by integrations_tenant, svc_integration. Errors: 22023 null, IN001 no tenant, IN201 not
found.$$;

revoke all on function integrations.delete_instance(uuid) from public;
grant execute on function integrations.delete_instance(uuid)
to integrations_tenant, svc_integration;

commit;
