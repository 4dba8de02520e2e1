-- Revert integrations:tables/compiled_schemas from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop table integrations_private.compiled_schemas;

commit;
