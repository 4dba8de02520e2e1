-- Revert integrations:types/tenant_key_state from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop type integrations_private.tenant_key_state;

commit;
