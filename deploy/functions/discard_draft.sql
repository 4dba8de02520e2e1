-- Deploy integrations:functions/discard_draft to pg
-- requires: tables/integration_definitions
-- requires: triggers/integration_definitions_immutable

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- A draft has no instances. Anything later is refused by the trigger, for every role.
create function integrations.discard_draft(definition_id uuid)
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
begin
  if definition_id is null then
    raise exception 'definition_id must not be null' using errcode = '22023';
  end if;

  delete from integrations.integration_definitions as d
   where d.id = definition_id;

  if not found then
    raise exception 'integration definition not found'
      using errcode = 'IN101', detail = pg_catalog.format('Definition %s.', definition_id);
  end if;
end;
$function$;

alter function integrations.discard_draft(uuid) owner to integrations_owner;

comment on function integrations.discard_draft(uuid) is
$$Deletes a definition that is still a draft.
Callable by integrations_admin. Errors: 22023 null, IN101 not found, IN102 not a draft any more.$$;

revoke all on function integrations.discard_draft(uuid) from public;
grant execute on function integrations.discard_draft(uuid) to integrations_admin;

commit;
