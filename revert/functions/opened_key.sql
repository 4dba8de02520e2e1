-- Revert integrations:functions/opened_key from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations_private.opened_key(
  uuid,
  uuid,
  integrations_private.tenant_key_state,
  bytea
);

commit;
