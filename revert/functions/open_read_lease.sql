-- Revert integrations:functions/open_read_lease from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations.open_read_lease(uuid, text);

commit;
