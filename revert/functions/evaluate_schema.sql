-- Revert integrations:functions/evaluate_schema from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations_private.evaluate_schema(jsonb, integer, jsonb, integer, integer);

commit;
