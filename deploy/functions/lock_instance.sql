-- Deploy integrations:functions/lock_instance to pg
-- requires: tables/integration_instances
-- requires: functions/require_tenant

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- A missing instance and another tenant's give the same answer. NO KEY UPDATE: writers queue up,
-- readers and foreign keys do not.
create function integrations_private.lock_instance(instance_id uuid)
returns integrations.integration_instances
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_instance integrations.integration_instances;
begin
  if lock_instance.instance_id is null then
    raise exception 'instance_id must not be null' using errcode = '22023';
  end if;

  select i.* into v_instance
    from integrations.integration_instances as i
   where i.tenant_id = v_tenant_id
     and i.id = lock_instance.instance_id
     for no key update;

  if not found then
    raise exception 'integration instance not found'
      using errcode = 'IN201',
            detail = pg_catalog.format('Instance %s.', lock_instance.instance_id),
            hint = 'Check the instance id and the tenant of the transaction.';
  end if;

  return v_instance;
end;
$function$;

alter function integrations_private.lock_instance(uuid) owner to integrations_owner;

comment on function integrations_private.lock_instance(uuid) is
$$Returns one instance of the transaction's tenant, locked against other writers. Errors: 22023,
IN001, IN201.$$;

revoke all on function integrations_private.lock_instance(uuid) from public;

commit;
