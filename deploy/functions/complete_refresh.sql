-- Deploy integrations:functions/complete_refresh to pg
-- requires: functions/lock_refresh_lease
-- requires: functions/put_credentials
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- put_credentials checks, encrypts and stores, so that a refresh is like any other write; the lease
-- ends in the same transaction, or neither happens.
create function integrations.complete_refresh(
  lease uuid,
  credentials text,
  expected_version integer
)
returns integer
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
  v_version integer;
  v_now timestamptz;
begin
  -- Only a refresh that knows what it replaces cannot undo what somebody stored in the meantime.
  if complete_refresh.expected_version is null then
    raise exception 'expected_version must not be null' using errcode = '22023';
  end if;

  v_instance := integrations_private.lock_refresh_lease(complete_refresh.lease);
  v_version := integrations.put_credentials(
    v_instance.id, complete_refresh.credentials, complete_refresh.expected_version);

  v_now := pg_catalog.clock_timestamp();
  update integrations_private.refresh_leases as l
     set lease = null,
         leased_until = null,
         credentials_version = v_version,
         failures = 0,
         retry_at = null,
         refreshed_at = v_now
   where l.tenant_id = v_instance.tenant_id
     and l.instance_id = v_instance.id;

  perform integrations_private.write_audit(
    v_instance.tenant_id, v_instance.id, 'refresh_completed',
    pg_catalog.jsonb_build_object('version', v_version));

  return v_version;
end;
$function$;

alter function integrations.complete_refresh(uuid, text, integer) owner to integrations_owner;

comment on function integrations.complete_refresh(uuid, text, integer) is
$$Stores what a refresh brought, as put_credentials does, ends the lease and returns the version.
An instance in error becomes active. When somebody stored credentials since they were read (IN306),
the lease stays until it expires or fail_refresh ends it.
Callable by svc_integration. Errors: 22023 null, IN001 no tenant, IN202 disabled or revoked, IN204
they do not fit the definition's schema, IN302 locked, IN303 wrong key, IN305 not a JSON object or
over 64 KiB, IN306 another version, IN307 no active key, IN402 lease lost, used or expired.$$;

revoke all on function integrations.complete_refresh(uuid, text, integer) from public;
grant execute on function integrations.complete_refresh(uuid, text, integer) to svc_integration;

commit;
