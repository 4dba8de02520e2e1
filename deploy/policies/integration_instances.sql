-- Deploy integrations:policies/integration_instances to pg
-- requires: tables/integration_instances
-- requires: functions/current_tenant

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Written as a plain comparison, without a sub-select: it still is an index condition, and it also
-- works on the shards of a Citus cluster. The owner is named because row-level security is forced
-- on it.
create policy tenant_all on integrations.integration_instances
as permissive for all to integrations_owner, integrations_tenant, svc_integration
using (tenant_id = integrations.current_tenant())
with check (tenant_id = integrations.current_tenant());

comment on policy tenant_all on integrations.integration_instances is
$$A tenant's installations are there for that tenant only.$$;

create policy auditor_select on integrations.integration_instances
as permissive for select to integrations_auditor
using (true);

comment on policy auditor_select on integrations.integration_instances is
$$An auditor sees the non-secret metadata of all tenants.$$;

create policy keymaster_select on integrations.integration_instances
as permissive for select to integrations_keymaster
using (true);

comment on policy keymaster_select on integrations.integration_instances is
$$Key maintenance counts, across tenants, the rows that need a key.$$;

commit;
