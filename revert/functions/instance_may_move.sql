-- Revert integrations:functions/instance_may_move from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations_private.instance_may_move(
  integrations.integration_instance_status,
  integrations.integration_instance_status
);

commit;
