-- Deploy integrations:functions/revoke_credentials to pg
-- requires: functions/lock_instance
-- requires: functions/require_usable
-- requires: functions/move_instance

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- A disabled instance can be revoked too; a revoked one has nothing left to erase.
create function integrations.revoke_credentials(instance_id uuid)
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
  v_instance := integrations_private.lock_instance(revoke_credentials.instance_id);
  if v_instance.status = 'revoked' then
    perform integrations_private.require_usable(v_instance.id, v_instance.status);
  end if;

  perform integrations_private.move_instance(v_instance, 'revoked', null);
end;
$function$;

alter function integrations.revoke_credentials(uuid) owner to integrations_owner;

comment on function integrations.revoke_credentials(uuid) is
$$Revokes an instance: erases its credentials and ends its life. credentials_version stays.
Callable by svc_integration. Errors: 22023 null, IN001 no tenant, IN201 not found, IN202 revoked
already.$$;

revoke all on function integrations.revoke_credentials(uuid) from public;
grant execute on function integrations.revoke_credentials(uuid) to svc_integration;

commit;
