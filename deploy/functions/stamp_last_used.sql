-- Deploy integrations:functions/stamp_last_used to pg
-- requires: tables/integration_instances

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- A read of credentials must not queue behind a writer, nor fail because of one: whatever is
-- locked, or has changed since the snapshot of the transaction, is left without a stamp.
create function integrations_private.stamp_last_used(tenant_id uuid, instance_id uuid)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
begin
  lock table integrations.integration_instances in row exclusive mode nowait;

  update integrations.integration_instances as i
     set last_used_at = v_now
   where i.tenant_id = stamp_last_used.tenant_id
     and i.ctid = (
           select l.ctid
             from integrations.integration_instances as l
            where l.tenant_id = stamp_last_used.tenant_id
              and l.id = stamp_last_used.instance_id
              and (l.last_used_at is null or l.last_used_at <= v_now - interval '1 minute')
              for no key update skip locked
         );

  return found;
exception when lock_not_available or serialization_failure then
  return false;
end;
$function$;

alter function integrations_private.stamp_last_used(uuid, uuid) owner to integrations_owner;

comment on function integrations_private.stamp_last_used(uuid, uuid) is
$$Writes last_used_at, at most once a minute, unless that would wait for another transaction, and
returns whether it did.$$;

revoke all on function integrations_private.stamp_last_used(uuid, uuid) from public;

commit;
