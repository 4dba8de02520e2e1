-- Revert integrations:functions/read_with_lease from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations.read_with_lease(uuid);

commit;
