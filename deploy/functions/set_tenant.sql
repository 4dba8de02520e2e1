-- Deploy integrations:functions/set_tenant to pg
-- requires: schemas/integrations
-- requires: functions/current_tenant

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- SET LOCAL and not set_config: it ends with the transaction, so a pooled connection never carries
-- a tenant on, and it is the form that also reaches the workers of a Citus cluster.
create function integrations.set_tenant(tenant_id uuid)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
begin
  if set_tenant.tenant_id is null then
    raise exception 'tenant_id must not be null'
      using errcode = '22023', hint = 'To leave a tenant, end the transaction.';
  end if;

  execute pg_catalog.format('set local integrations.tenant_id = %L', set_tenant.tenant_id);
end;
$function$;

alter function integrations.set_tenant(uuid) owner to integrations_owner;

comment on function integrations.set_tenant(uuid) is
$$Chooses the tenant for the rest of the transaction. Keys unlocked for another tenant become
unusable.
Callable by integrations_tenant, svc_integration, integrations_admin. Errors: 22023 tenant_id is
null.$$;

revoke all on function integrations.set_tenant(uuid) from public;
grant execute on function integrations.set_tenant(uuid)
to integrations_admin, integrations_tenant, svc_integration;

commit;
