-- Deploy integrations:tables/audit_log_default to pg
-- requires: tables/audit_log
-- requires: triggers/audit_log_append_only

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Entries of a month that has no partition of its own land here, so that a read of credentials
-- never fails for want of one. A partition is a table in its own right: it has neither its parent's
-- row-level security nor its TRUNCATE guard. It gets no policies: nobody comes in but through the
-- parent.
create table integrations_private.audit_log_default
partition of integrations_private.audit_log default;

alter table integrations_private.audit_log_default owner to integrations_owner;
revoke all on integrations_private.audit_log_default from public;
alter table integrations_private.audit_log_default enable row level security;
alter table integrations_private.audit_log_default force row level security;

comment on table integrations_private.audit_log_default is
$$Entries of the audit log of months without a partition of their own.$$;
comment on column integrations_private.audit_log_default.tenant_id is
$$The tenant whose data was touched.$$;
comment on column integrations_private.audit_log_default.id is
$$Identifies the entry.$$;
comment on column integrations_private.audit_log_default.at is
$$When it happened.$$;
comment on column integrations_private.audit_log_default.instance_id is
$$The installation that was touched, which may be gone by now; NULL where it is about a key.$$;
comment on column integrations_private.audit_log_default.event is
$$What happened: credentials_read, credentials_stored, status_changed and so on.$$;
comment on column integrations_private.audit_log_default.actor is
$$The role that acted, as SET ROLE or the login chose it.$$;
comment on column integrations_private.audit_log_default.session_actor is
$$The login of the session.$$;
comment on column integrations_private.audit_log_default.application is
$$The application_name of the session, which the client chooses.$$;
comment on column integrations_private.audit_log_default.detail is
$$Ids, versions and states that tell more. Never a value, never a secret.$$;

create trigger _110_no_truncate
before truncate on integrations_private.audit_log_default
for each statement execute function integrations_private.tg_audit_log__append_only();

comment on trigger _110_no_truncate on integrations_private.audit_log_default is
$$Refuses to empty the partition.$$;

alter table integrations_private.audit_log_default enable always trigger _110_no_truncate;

commit;
