-- Deploy integrations:functions/fail_refresh to pg
-- requires: functions/lock_refresh_lease
-- requires: functions/require_usable
-- requires: functions/move_instance
-- requires: functions/quarantine_reason
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- In error an instance no longer counts as active, so it is listed again only while there is a time
-- to try again. That time doubles, because a service that is down is not helped by being asked; and
-- it ends, because a consent that was withdrawn does not come back by asking.
create function integrations.fail_refresh(
  lease uuid,
  reason text,
  retry_after interval default '5 minutes'
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
  -- In a comparison a month has 30 days, in a sum it may have 31, and many add up.
  v_seconds constant numeric := extract(epoch from fail_refresh.retry_after);
  v_now timestamptz;
  v_instance integrations.integration_instances;
  v_lease integrations_private.refresh_leases;
  v_quarantined boolean;
  v_failures integer := 0;
  v_retry_at timestamptz;
begin
  if fail_refresh.reason is null then
    raise exception 'reason must not be null' using errcode = '22023';
  end if;
  if fail_refresh.reason = integrations_private.quarantine_reason() then
    raise exception 'reason is reserved' using errcode = '22023';
  end if;
  if v_seconds is null or v_seconds < 0 or v_seconds > 30 * 86400 then
    raise exception 'retry_after must be 0 to 30 days' using errcode = '22023';
  end if;

  v_instance := integrations_private.lock_refresh_lease(fail_refresh.lease);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);
  v_now := pg_catalog.clock_timestamp();
  v_quarantined := v_instance.status = 'error'
    and v_instance.status_reason is not distinct from integrations_private.quarantine_reason();

  select l.* into v_lease
    from integrations_private.refresh_leases as l
   where l.tenant_id = v_instance.tenant_id
     and l.instance_id = v_instance.id;

  -- A failure says something of the credentials that it was claimed for, not of newer ones.
  if v_lease.credentials_version = v_instance.credentials_version then
    v_failures := v_lease.failures + 1;

    if v_failures < 10 and not v_quarantined then
      v_retry_at := v_now + pg_catalog.make_interval(
        secs => least(v_seconds * 2 ^ v_lease.failures, greatest(v_seconds, 86400)));
    end if;

    -- Quarantine has a reason of its own, which keeps the row out of rotation.
    if v_instance.status = 'active' then
      perform integrations_private.move_instance(v_instance, 'error', fail_refresh.reason);
    elsif v_instance.status = 'error' and not v_quarantined then
      update integrations.integration_instances as i
         set status_reason = pg_catalog.left(fail_refresh.reason, 1000)
       where i.tenant_id = v_instance.tenant_id
         and i.id = v_instance.id;
    end if;
  end if;

  update integrations_private.refresh_leases as l
     set lease = null,
         leased_until = null,
         failures = v_failures,
         retry_at = v_retry_at
   where l.tenant_id = v_instance.tenant_id
     and l.instance_id = v_instance.id;

  perform integrations_private.write_audit(
    v_instance.tenant_id, v_instance.id, 'refresh_failed',
    pg_catalog.jsonb_build_object(
      'version', v_lease.credentials_version, 'failures', v_failures));
end;
$function$;

alter function integrations.fail_refresh(uuid, text, interval) owner to integrations_owner;

comment on function integrations.fail_refresh(uuid, text, interval) is
$$Records that a refresh failed, and ends its lease: an active instance goes to error, with a reason
(cut to 1000 characters, never a secret), and is due again after retry_after (at most 30 days). That
doubles with each failure in a row, up to a day; after the tenth it is not due any more. If somebody
stored credentials since the claim, or in quarantine, only the lease ends.
Callable by svc_integration. Errors: 22023 null, out of range or a reserved reason, IN001 no tenant,
IN202 disabled or revoked, IN402 lease lost, used or expired.$$;

revoke all on function integrations.fail_refresh(uuid, text, interval) from public;
grant execute on function integrations.fail_refresh(uuid, text, interval) to svc_integration;

commit;
