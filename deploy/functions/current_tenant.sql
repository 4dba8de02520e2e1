-- Deploy integrations:functions/current_tenant to pg
-- requires: schemas/integrations

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- STABLE, so that it is an index condition and a new tenant is seen at once; never IMMUTABLE or
-- LEAKPROOF. After a transaction the setting reads as an empty string, not NULL. The body is
-- parsed here, so that no search path can change what it calls.
create function integrations.current_tenant()
returns uuid
language sql
stable
parallel safe
return nullif(pg_catalog.current_setting('integrations.tenant_id', true), '')::uuid;

alter function integrations.current_tenant() owner to integrations_owner;

comment on function integrations.current_tenant() is
$$Returns the tenant that set_tenant chose for this transaction, or NULL when none is set.
Callable by integrations_tenant, svc_integration, integrations_admin. Errors: none.$$;

revoke all on function integrations.current_tenant() from public;
grant execute on function integrations.current_tenant()
to integrations_admin, integrations_tenant, svc_integration;

commit;
