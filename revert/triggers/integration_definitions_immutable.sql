-- Revert integrations:triggers/integration_definitions_immutable from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop trigger _110_no_truncate on integrations.integration_definitions;
drop trigger _100_immutable on integrations.integration_definitions;
drop function integrations_private.tg_integration_definitions__immutable();

commit;
