-- Deploy integrations:functions/claim_refresh to pg
-- requires: tables/refresh_leases
-- requires: policies/refresh_leases
-- requires: functions/check_name
-- requires: functions/lock_instance
-- requires: functions/require_usable
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- now() is as old as the transaction: a lease begins by the clock, read once the instance is
-- locked. A live lease stops its own holder, too: threads may share a name. The ttl counts in
-- seconds: in a comparison a month has 30 days, in a sum it may have 31, and many add up.
create function integrations.claim_refresh(
  instance_id uuid,
  holder text,
  ttl interval default '1 minute'
)
returns uuid
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
  v_lease constant uuid := pg_catalog.gen_random_uuid();
  v_seconds constant numeric := extract(epoch from claim_refresh.ttl);
  v_now timestamptz;
  v_instance integrations.integration_instances;
  v_former integrations_private.refresh_leases;
begin
  perform integrations_private.check_name(claim_refresh.holder, 'holder');
  if v_seconds is null or v_seconds <= 0 or v_seconds > 3600 then
    raise exception 'ttl must be more than nothing and at most one hour' using errcode = '22023';
  end if;

  v_instance := integrations_private.lock_instance(claim_refresh.instance_id);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);
  v_now := pg_catalog.clock_timestamp();

  select l.* into v_former
    from integrations_private.refresh_leases as l
   where l.tenant_id = v_instance.tenant_id
     and l.instance_id = v_instance.id;

  if v_former.leased_until > v_now then
    raise exception 'refresh lease is held by another'
      using errcode = 'IN401',
            detail = pg_catalog.format('Instance %s, until %s.',
                                       v_instance.id, v_former.leased_until),
            hint = 'Somebody is refreshing it. Read the credentials again in a moment.';
  end if;

  -- Whoever comes this late has decided by a list, or by credentials, that are out of date: one
  -- refresh serves all that wait for it.
  if v_former.refreshed_at > v_now - interval '1 minute'
     and v_former.holder <> claim_refresh.holder
     and v_former.credentials_version = v_instance.credentials_version
     and (v_instance.credentials_expire_at <= v_now + interval '5 minutes') is not true
  then
    raise exception 'credentials were refreshed by another a moment ago'
      using errcode = 'IN401',
            detail = pg_catalog.format('Instance %s, at %s.',
                                       v_instance.id, v_former.refreshed_at),
            hint = 'Read the credentials again. If they are refused, claim a minute later.';
  end if;

  insert into integrations_private.refresh_leases as l
    (tenant_id, instance_id, lease, holder, credentials_version, claimed_at, leased_until)
  values
    (v_instance.tenant_id, v_instance.id, v_lease, claim_refresh.holder,
     v_instance.credentials_version, v_now, v_now + pg_catalog.make_interval(secs => v_seconds))
  on conflict on constraint refresh_leases_pkey do update
     set lease = excluded.lease,
         holder = excluded.holder,
         credentials_version = excluded.credentials_version,
         claimed_at = excluded.claimed_at,
         leased_until = excluded.leased_until,
         failures = case
           when l.credentials_version = excluded.credentials_version then l.failures else 0
         end,
         retry_at = case
           when l.credentials_version = excluded.credentials_version then l.retry_at
         end;

  perform integrations_private.write_audit(
    v_instance.tenant_id, v_instance.id, 'refresh_claimed',
    pg_catalog.jsonb_build_object('version', v_instance.credentials_version));

  return v_lease;
end;
$function$;

alter function integrations.claim_refresh(uuid, text, interval) owner to integrations_owner;

comment on function integrations.claim_refresh(uuid, text, interval) is
$$Leases the refresh of an instance's credentials to one worker, due or not, for ttl (at most one
hour), and returns the lease. Commit before you call the outside service. holder names the worker,
in up to 200 characters. What another holder refreshed less than a minute ago is not leased, unless
it is due again.
Callable by svc_integration. Errors: 22023 null or out of range, IN001 no tenant, IN201 not found,
IN202 disabled or revoked, IN401 leased, or just refreshed by another.$$;

revoke all on function integrations.claim_refresh(uuid, text, interval) from public;
grant execute on function integrations.claim_refresh(uuid, text, interval) to svc_integration;

commit;
