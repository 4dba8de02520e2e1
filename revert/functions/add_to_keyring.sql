-- Revert integrations:functions/add_to_keyring from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations_private.add_to_keyring(text, uuid, uuid, bytea);

commit;
