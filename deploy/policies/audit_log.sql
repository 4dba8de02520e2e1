-- Deploy integrations:policies/audit_log to pg
-- requires: tables/audit_log
-- requires: functions/current_tenant

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Written as a plain comparison, without a sub-select: it still is an index condition, and it also
-- works on the shards of a Citus cluster. The owner is named because row-level security is forced
-- on it.
create policy tenant_all on integrations_private.audit_log
as permissive for all to integrations_owner, integrations_tenant, svc_integration
using (tenant_id = integrations.current_tenant())
with check (tenant_id = integrations.current_tenant());

comment on policy tenant_all on integrations_private.audit_log is
$$Entries are written for the tenant of the transaction only. Only the owner has a privilege to use
it.$$;

create policy auditor_select on integrations_private.audit_log
as permissive for select to integrations_auditor
using (true);

comment on policy auditor_select on integrations_private.audit_log is
$$An auditor sees the entries of all tenants.$$;

create policy keymaster_all on integrations_private.audit_log
as permissive for all to integrations_keymaster
using (true)
with check (true);

comment on policy keymaster_all on integrations_private.audit_log is
$$Key maintenance leaves entries for the tenants whose keys it changes, and the care of partitions
sees the times of all.$$;

commit;
