-- Revert integrations:types/integration_instance_status from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop type integrations.integration_instance_status;

commit;
