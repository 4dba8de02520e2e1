-- Deploy integrations:functions/require_usable to pg
-- requires: types/integration_instance_status
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

create function integrations_private.require_usable(
  instance_id uuid,
  status integrations.integration_instance_status
)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
begin
  if require_usable.status in ('disabled', 'revoked') then
    raise exception 'integration instance is disabled or revoked'
      using errcode = 'IN202',
            detail = pg_catalog.format('Instance %s is %s.', instance_id, status),
            hint = 'Enable a disabled instance with set_instance_status; a revoked one is final.';
  end if;
end;
$function$;

alter function integrations_private.require_usable(uuid, integrations.integration_instance_status)
owner to integrations_owner;

comment on function integrations_private.require_usable(
  uuid,
  integrations.integration_instance_status
) is
$$Refuses an instance that is disabled or revoked. Errors: IN202.$$;

revoke all on function integrations_private.require_usable(
  uuid,
  integrations.integration_instance_status
)
from public;

commit;
