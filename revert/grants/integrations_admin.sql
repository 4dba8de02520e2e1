-- Revert integrations:grants/integrations_admin from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

revoke select on integrations.integration_definitions from integrations_admin;

commit;
