-- Deploy integrations:functions/lock_refresh_lease to pg
-- requires: tables/refresh_leases
-- requires: policies/refresh_leases
-- requires: tables/integration_instances
-- requires: functions/require_tenant

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- The instance is locked, as by every writer, and then the lease is looked at again, by the clock:
-- now() is as old as the transaction, and would take an expired lease for a live one.
create function integrations_private.lock_refresh_lease(lease uuid)
returns integrations.integration_instances
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_instance integrations.integration_instances;
begin
  if lock_refresh_lease.lease is null then
    raise exception 'lease must not be null' using errcode = '22023';
  end if;

  select i.* into v_instance
    from integrations_private.refresh_leases as l
         join integrations.integration_instances as i
           on i.tenant_id = l.tenant_id and i.id = l.instance_id
   where l.tenant_id = v_tenant_id
     and l.lease = lock_refresh_lease.lease
     for no key update of i;

  if not exists (
    select
      from integrations_private.refresh_leases as l
     where l.tenant_id = v_tenant_id
       and l.instance_id = v_instance.id
       and l.lease = lock_refresh_lease.lease
       and l.leased_until > pg_catalog.clock_timestamp()
  ) then
    raise exception 'refresh lease is lost'
      using errcode = 'IN402',
            detail = pg_catalog.format('Lease %s.', lock_refresh_lease.lease),
            hint = 'It has expired, was used, or is not of this tenant. New credentials that must'
                   ' not be lost: put_credentials, with expected_version.';
  end if;

  return v_instance;
end;
$function$;

alter function integrations_private.lock_refresh_lease(uuid) owner to integrations_owner;

comment on function integrations_private.lock_refresh_lease(uuid) is
$$Returns the instance that a live lease of the transaction's tenant is about, locked against other
writers. Errors: 22023, IN001, IN402.$$;

revoke all on function integrations_private.lock_refresh_lease(uuid) from public;

commit;
