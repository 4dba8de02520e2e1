-- Revert integrations:policies/audit_log from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop policy keymaster_all on integrations_private.audit_log;
drop policy auditor_select on integrations_private.audit_log;
drop policy tenant_all on integrations_private.audit_log;

commit;
