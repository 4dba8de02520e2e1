-- Deploy integrations:triggers/audit_log_append_only to pg
-- requires: tables/audit_log

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- No role has a privilege to change or empty the log; this stops the owner and superusers as well.
create function integrations_private.tg_audit_log__append_only()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
begin
  raise exception 'the audit log is append-only'
    using errcode = 'insufficient_privilege',
          hint = 'Old months are dropped as whole partitions.';
end;
$function$;

alter function integrations_private.tg_audit_log__append_only() owner to integrations_owner;

comment on function integrations_private.tg_audit_log__append_only() is
$$Refuses UPDATE, DELETE and TRUNCATE. Errors: 42501 the audit log is append-only.$$;

revoke all on function integrations_private.tg_audit_log__append_only() from public;

create trigger _100_append_only
before update or delete on integrations_private.audit_log
for each row execute function integrations_private.tg_audit_log__append_only();

comment on trigger _100_append_only on integrations_private.audit_log is
$$Refuses to change or delete an entry. Every partition inherits it.$$;

create trigger _110_no_truncate
before truncate on integrations_private.audit_log
for each statement execute function integrations_private.tg_audit_log__append_only();

comment on trigger _110_no_truncate on integrations_private.audit_log is
$$Refuses to empty the log. A partition does not inherit it and needs its own.$$;

-- ALWAYS: also where session_replication_role is replica.
alter table integrations_private.audit_log enable always trigger _100_append_only;
alter table integrations_private.audit_log enable always trigger _110_no_truncate;

commit;
