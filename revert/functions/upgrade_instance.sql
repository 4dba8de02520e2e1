-- Revert integrations:functions/upgrade_instance from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations.upgrade_instance(uuid, uuid);

commit;
