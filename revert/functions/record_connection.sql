-- Revert integrations:functions/record_connection from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations.record_connection(uuid, boolean, text);

commit;
