-- Deploy integrations:functions/set_definition_status to pg
-- requires: tables/integration_definitions
-- requires: triggers/integration_definitions_immutable

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- The trigger refuses steps back for every role; this function also refuses to stand still.
create function integrations.set_definition_status(
  definition_id uuid,
  status integrations.integration_definition_status
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
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_status integrations.integration_definition_status;
begin
  if definition_id is null or set_definition_status.status is null then
    raise exception 'definition_id and status must not be null' using errcode = '22023';
  end if;

  select d.status into v_status
    from integrations.integration_definitions as d
   where d.id = definition_id
     for no key update;

  if not found then
    raise exception 'integration definition not found'
      using errcode = 'IN101', detail = pg_catalog.format('Definition %s.', definition_id);
  end if;

  if set_definition_status.status <= v_status then
    raise exception 'status cannot move that way'
      using errcode = 'IN104',
            detail = pg_catalog.format('Definition %s is %s.', definition_id, v_status),
            hint = 'A definition moves forward only: draft, published, deprecated, retired.';
  end if;

  update integrations.integration_definitions as d
     set status = set_definition_status.status, updated_at = v_now
   where d.id = definition_id;
end;
$function$;

alter function integrations.set_definition_status(uuid, integrations.integration_definition_status)
owner to integrations_owner;

comment on function integrations.set_definition_status(
  uuid,
  integrations.integration_definition_status
) is
$$Moves a definition forward in its life; steps may be skipped.
Callable by integrations_admin. Errors: 22023 null, IN101 not found, IN104 not forward.$$;

revoke all on function integrations.set_definition_status(
  uuid,
  integrations.integration_definition_status
)
from public;
grant execute on function integrations.set_definition_status(
  uuid,
  integrations.integration_definition_status
)
to integrations_admin;

commit;
