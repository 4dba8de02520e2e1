-- Revert integrations:functions/seal_credentials from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations_private.seal_credentials(uuid, uuid, uuid, integer, bytea, text);

commit;
