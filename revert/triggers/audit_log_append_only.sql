-- Revert integrations:triggers/audit_log_append_only from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop trigger _110_no_truncate on integrations_private.audit_log;
drop trigger _100_append_only on integrations_private.audit_log;
drop function integrations_private.tg_audit_log__append_only();

commit;
