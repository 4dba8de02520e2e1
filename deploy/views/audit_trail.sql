-- Deploy integrations:views/audit_trail to pg
-- requires: grants/integrations_auditor
-- requires: tables/audit_log_default

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create view integrations.audit_trail
with (security_invoker = true, security_barrier = true) as
select a.tenant_id,
       a.at,
       a.id,
       a.event,
       a.instance_id,
       a.actor,
       a.session_actor,
       a.application,
       a.detail
  from integrations_private.audit_log as a;

alter view integrations.audit_trail owner to integrations_owner;

comment on view integrations.audit_trail is
$$What was done to installations and keys, of all tenants. Ask for a tenant or a span of at.$$;
comment on column integrations.audit_trail.tenant_id is
$$The tenant whose data was touched.$$;
comment on column integrations.audit_trail.at is
$$When it happened.$$;
comment on column integrations.audit_trail.id is
$$Identifies the entry.$$;
comment on column integrations.audit_trail.event is
$$What happened.$$;
comment on column integrations.audit_trail.instance_id is
$$The installation that was touched, which may be gone by now; NULL where it is about a key.$$;
comment on column integrations.audit_trail.actor is
$$The role that acted.$$;
comment on column integrations.audit_trail.session_actor is
$$The login of the session.$$;
comment on column integrations.audit_trail.application is
$$The application_name of the session, which the client chooses.$$;
comment on column integrations.audit_trail.detail is
$$Ids, versions and states that tell more; never a value.$$;

revoke all on integrations.audit_trail from public;
grant select on integrations.audit_trail to integrations_auditor;

commit;
