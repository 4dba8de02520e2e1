-- Deploy integrations:functions/require_tenant to pg
-- requires: schemas/integrations_private
-- requires: functions/current_tenant

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

create function integrations_private.require_tenant()
returns uuid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_tenant_id constant uuid := integrations.current_tenant();
begin
  if v_tenant_id is null then
    raise exception 'tenant is not set'
      using errcode = 'IN001',
            hint = 'BEGIN, then call integrations.set_tenant(...): it lasts one transaction.';
  end if;

  return v_tenant_id;
end;
$function$;

alter function integrations_private.require_tenant() owner to integrations_owner;

comment on function integrations_private.require_tenant() is
$$Returns the tenant of this transaction. Errors: IN001 tenant not set.$$;

revoke all on function integrations_private.require_tenant() from public;

commit;
