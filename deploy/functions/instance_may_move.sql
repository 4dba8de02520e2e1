-- Deploy integrations:functions/instance_may_move to pg
-- requires: types/integration_instance_status
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- pending becomes active by its first credentials alone: put_credentials does that, not a caller.
create function integrations_private.instance_may_move(
  old_status integrations.integration_instance_status,
  new_status integrations.integration_instance_status
)
returns boolean
language sql
immutable
parallel safe
return case old_status
  when 'pending' then new_status = 'revoked'
  when 'active' then new_status in ('error', 'disabled', 'revoked')
  when 'error' then new_status in ('active', 'disabled', 'revoked')
  when 'disabled' then new_status in ('active', 'error', 'revoked')
  else false
end;

alter function integrations_private.instance_may_move(
  integrations.integration_instance_status,
  integrations.integration_instance_status
)
owner to integrations_owner;

comment on function integrations_private.instance_may_move(
  integrations.integration_instance_status,
  integrations.integration_instance_status
) is
$$Tells whether an instance may move from one status to another. Revoked is final.$$;

revoke all on function integrations_private.instance_may_move(
  integrations.integration_instance_status,
  integrations.integration_instance_status
)
from public;

commit;
