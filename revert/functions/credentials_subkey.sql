-- Revert integrations:functions/credentials_subkey from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations_private.credentials_subkey(text, uuid, uuid, uuid, integer, bytea);

commit;
