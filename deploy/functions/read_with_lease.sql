-- Deploy integrations:functions/read_with_lease to pg
-- requires: functions/open_read_lease
-- requires: functions/get_credentials

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- The second half of a strictly audited read. That the lease is seen from another transaction
-- proves that its audit entry is committed. A reader that rolls back gives the lease back, for the
-- rest of its minute; the entry of its opening and the line in the server's log stay.
create function integrations.read_with_lease(lease uuid)
returns jsonb
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
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_instance_id uuid;
  v_expires_at timestamptz;
  v_credentials jsonb;
begin
  if lease is null then
    raise exception 'lease must not be null' using errcode = '22023';
  end if;

  -- Of two readers at once, one waits here, and then finds nothing. A lease from the future is of a
  -- clock that was set back.
  delete from integrations_private.read_leases as l
   where l.tenant_id = v_tenant_id
     and l.id = lease
     and l.session_actor = session_user
     and l.opened_by <> pg_catalog.pg_current_xact_id()
     and l.opened_at <= pg_catalog.clock_timestamp()
  returning l.instance_id, l.expires_at into v_instance_id, v_expires_at;

  -- Compared here, because the wait may have been long. One answer for every cause.
  if v_expires_at is null or v_expires_at <= pg_catalog.clock_timestamp() then
    raise exception 'read lease is unknown, used, expired, or opened in this transaction'
      using errcode = 'IN402',
            detail = pg_catalog.format('Lease %s.', lease),
            hint = 'Open a lease, commit, and read once within a minute, as the same login and'
                   ' tenant.';
  end if;

  v_credentials := integrations.get_credentials(v_instance_id);

  perform integrations_private.write_audit(
    v_tenant_id, v_instance_id, 'read_lease_used',
    pg_catalog.jsonb_build_object('lease', lease));

  raise log 'integrations: read_lease_used tenant=% instance=% lease=% session_user=%',
    v_tenant_id, v_instance_id, lease, session_user;

  return v_credentials;
end;
$function$;

alter function integrations.read_with_lease(uuid) owner to integrations_owner;

comment on function integrations.read_with_lease(uuid) is
$$Returns the credentials that a lease was opened for, in another transaction of the same login and
tenant, at most a minute ago, and uses the lease up. Audits, logs and stamps as get_credentials.
Callable by svc_integration. Errors: 22023 null, 25006 read-only transaction, IN001 no tenant,
IN201 not found, IN202 disabled or revoked, IN301 none stored, IN302 locked, IN303 wrong key,
IN304 integrity check failed, IN307 key destroyed, retired or unknown, IN402 no such lease.$$;

revoke all on function integrations.read_with_lease(uuid) from public;
grant execute on function integrations.read_with_lease(uuid) to svc_integration;

commit;
