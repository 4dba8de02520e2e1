-- Revert integrations:policies/integration_instances from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop policy keymaster_select on integrations.integration_instances;
drop policy auditor_select on integrations.integration_instances;
drop policy tenant_all on integrations.integration_instances;

commit;
