-- Deploy integrations:policies/read_leases to pg
-- requires: tables/read_leases
-- requires: functions/current_tenant

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Written as a plain comparison, without a sub-select: it still is an index condition, and it also
-- works on the shards of a Citus cluster. The owner is named because row-level security is forced
-- on it.
create policy tenant_all on integrations_private.read_leases
as permissive for all to integrations_owner, integrations_tenant, svc_integration
using (tenant_id = integrations.current_tenant())
with check (tenant_id = integrations.current_tenant());

comment on policy tenant_all on integrations_private.read_leases is
$$A tenant's leases are there for that tenant only. Only the owner has a privilege to use it.$$;

commit;
