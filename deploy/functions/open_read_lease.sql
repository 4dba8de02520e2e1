-- Deploy integrations:functions/open_read_lease to pg
-- requires: tables/integration_instances
-- requires: policies/integration_instances
-- requires: tables/read_leases
-- requires: policies/read_leases
-- requires: functions/require_tenant
-- requires: functions/require_usable
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- The first half of a strictly audited read: lease and audit entry come to be by the same commit,
-- and without the lease there is no read. Whatever a later reader does, the entry stays.
create function integrations.open_read_lease(instance_id uuid, reason text)
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
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_lease_id constant uuid := pg_catalog.gen_random_uuid();
  v_instance record;
begin
  if open_read_lease.instance_id is null then
    raise exception 'instance_id must not be null' using errcode = '22023';
  end if;
  if reason is null or reason !~ '[^[:space:]]' or pg_catalog.char_length(reason) > 1000 then
    raise exception 'reason must be 1 to 1000 characters, not all blank' using errcode = '22023';
  end if;

  select i.id, i.status, i.credentials_version into v_instance
    from integrations.integration_instances as i
   where i.tenant_id = v_tenant_id
     and i.id = open_read_lease.instance_id;

  if not found then
    raise exception 'integration instance not found'
      using errcode = 'IN201',
            detail = pg_catalog.format('Instance %s.', open_read_lease.instance_id),
            hint = 'Check the instance id and the tenant of the transaction.';
  end if;

  perform integrations_private.require_usable(v_instance.id, v_instance.status);

  -- Not the envelope, which need not be fetched for this: only put_credentials activates.
  if v_instance.credentials_version = 0 then
    raise exception 'no credentials are stored'
      using errcode = 'IN301', detail = pg_catalog.format('Instance %s.', v_instance.id);
  end if;

  -- The leases that nobody used: each call takes away more than it adds, waits for nobody, and does
  -- not mind if somebody else has taken them away since an old snapshot.
  begin
    delete from integrations_private.read_leases as l
     where l.tenant_id = v_tenant_id
       and l.id in (
             select o.id
               from integrations_private.read_leases as o
              where o.tenant_id = v_tenant_id
                and o.expires_at <= v_now
              order by o.expires_at
              limit 100
                for update skip locked);
  exception when serialization_failure then
    null;
  end;

  insert into integrations_private.read_leases
    (tenant_id, id, instance_id, session_actor, opened_by, opened_at, expires_at)
  values
    (v_tenant_id, v_lease_id, v_instance.id, session_user, pg_catalog.pg_current_xact_id(), v_now,
     v_now + interval '1 minute');

  perform integrations_private.write_audit(
    v_tenant_id, v_instance.id, 'read_lease_opened',
    pg_catalog.jsonb_build_object(
      'lease', v_lease_id, 'version', v_instance.credentials_version, 'reason', reason));

  return v_lease_id;
end;
$function$;

alter function integrations.open_read_lease(uuid, text) owner to integrations_owner;

comment on function integrations.open_read_lease(uuid, text) is
$$Opens a lease for one read of an instance's credentials with read_with_lease, in a later
transaction, within a minute. Leaves an audit entry with the reason, which must not hold a secret.
Callable by svc_integration. Errors: 22023 bad argument, IN001 no tenant, IN201 not found, IN202
disabled or revoked, IN301 none stored.$$;

revoke all on function integrations.open_read_lease(uuid, text) from public;
grant execute on function integrations.open_read_lease(uuid, text) to svc_integration;

commit;
