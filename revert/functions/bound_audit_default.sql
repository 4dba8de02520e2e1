-- Revert integrations:functions/bound_audit_default from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations_private.bound_audit_default(timestamptz, timestamptz);

commit;
