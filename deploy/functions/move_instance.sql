-- Deploy integrations:functions/move_instance to pg
-- requires: functions/instance_may_move
-- requires: functions/write_audit
-- requires: tables/integration_instances

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Revocation erases the credentials in the same statement and is audited under one name, whichever
-- function asked for it.
create function integrations_private.move_instance(
  instance integrations.integration_instances,
  status integrations.integration_instance_status,
  reason text
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
begin
  if not integrations_private.instance_may_move(instance.status, move_instance.status) then
    raise exception 'status cannot move that way'
      using errcode = 'IN104',
            detail = pg_catalog.format('Instance %s is %s.', instance.id, instance.status),
            hint = 'pending becomes active by its first credentials; revoked is final.';
  end if;

  update integrations.integration_instances as i
     set status = move_instance.status,
         status_reason =
           case when move_instance.status <> 'active' then pg_catalog.left(reason, 1000) end,
         credentials = case when move_instance.status <> 'revoked' then i.credentials end,
         credentials_expire_at =
           case when move_instance.status <> 'revoked' then i.credentials_expire_at end,
         updated_at = v_now
   where i.tenant_id = instance.tenant_id
     and i.id = instance.id;

  perform integrations_private.write_audit(
    instance.tenant_id, instance.id,
    case when move_instance.status = 'revoked' then 'credentials_revoked' else 'status_changed' end,
    pg_catalog.jsonb_build_object(
      'from', instance.status, 'to', move_instance.status,
      'version', instance.credentials_version));
end;
$function$;

alter function integrations_private.move_instance(
  integrations.integration_instances,
  integrations.integration_instance_status,
  text
)
owner to integrations_owner;

comment on function integrations_private.move_instance(
  integrations.integration_instances,
  integrations.integration_instance_status,
  text
) is
$$Moves a locked instance to another status, with a reason cut to 1000 characters (none for active),
and audits it. Revocation erases the credentials. Errors: IN104.$$;

revoke all on function integrations_private.move_instance(
  integrations.integration_instances,
  integrations.integration_instance_status,
  text
)
from public;

commit;
