-- Deploy integrations:functions/wrapped_keys to pg
-- requires: functions/require_tenant
-- requires: tables/tenant_keys
-- requires: policies/tenant_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

create function integrations.wrapped_keys()
returns table (
  key_id uuid,
  kek_id text,
  state text,
  wrapped bytea
)
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
  v_tenant_id constant uuid := integrations_private.require_tenant();
begin
  return query
    select k.id, k.kek_id, k.state::text, k.wrapped
      from integrations_private.tenant_keys as k
     where k.tenant_id = v_tenant_id
       and k.wrapped is not null
     order by k.version desc;
end;
$function$;

alter function integrations.wrapped_keys() owner to integrations_owner;

comment on function integrations.wrapped_keys() is
$$Returns the data keys of the transaction's tenant that are not destroyed, still wrapped, the
newest first.
Callable by svc_integration. Errors: IN001 no tenant.$$;

revoke all on function integrations.wrapped_keys() from public;
grant execute on function integrations.wrapped_keys() to svc_integration;

commit;
