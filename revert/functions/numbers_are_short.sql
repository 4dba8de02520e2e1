-- Revert integrations:functions/numbers_are_short from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations_private.numbers_are_short(jsonb);

commit;
