-- Revert integrations:functions/move_instance from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations_private.move_instance(
  integrations.integration_instances,
  integrations.integration_instance_status,
  text
);

commit;
