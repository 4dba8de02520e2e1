-- Deploy integrations:tables/audit_log to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Partitioned from the start, because a table cannot become partitioned later without moving its
-- rows. The key leads with the tenant and serves its history in order of time. No foreign keys: an
-- entry outlives what it tells of.
create table integrations_private.audit_log (
  tenant_id uuid not null,
  id uuid not null default pg_catalog.gen_random_uuid(),
  at timestamptz not null default pg_catalog.clock_timestamp(),
  instance_id uuid,
  event text not null,
  -- The role that the client chose: inside a definer function current_user is its owner.
  actor text not null
    default coalesce(nullif(pg_catalog.current_setting('role'), 'none'), session_user),
  session_actor text not null default session_user,
  application text default nullif(pg_catalog.current_setting('application_name'), ''),
  detail jsonb not null default '{}',

  constraint audit_log_pkey primary key (tenant_id, at, id),
  constraint audit_log_event_is_valid check (
    -- Not {0,62} in the pattern: matching that costs as much as the rest of the entry.
    event ~ '^[a-z][a-z_]*$' and pg_catalog.length(event) <= 63
  ),
  constraint audit_log_detail_is_object check (pg_catalog.jsonb_typeof(detail) = 'object')
) partition by range (at);

alter table integrations_private.audit_log owner to integrations_owner;
revoke all on integrations_private.audit_log from public;
alter table integrations_private.audit_log enable row level security;
alter table integrations_private.audit_log force row level security;

-- Small beside a B-tree, and an entry costs next to nothing: entries come in the order of time.
create index audit_log_at_idx on integrations_private.audit_log using brin (at);
comment on index integrations_private.audit_log_at_idx is
$$Finds the entries of a span of time, of all tenants.$$;

comment on table integrations_private.audit_log is
$$What was done to tenants' installations and keys, by whom. Append-only: for every role, a
superuser too, until a trigger is disabled.$$;
comment on column integrations_private.audit_log.tenant_id is
$$The tenant whose data was touched.$$;
comment on column integrations_private.audit_log.id is
$$Identifies the entry.$$;
comment on column integrations_private.audit_log.at is
$$When it happened.$$;
comment on column integrations_private.audit_log.instance_id is
$$The installation that was touched, which may be gone by now; NULL where it is about a key.$$;
comment on column integrations_private.audit_log.event is
$$What happened: credentials_read, credentials_stored, status_changed and so on.$$;
comment on column integrations_private.audit_log.actor is
$$The role that acted, as SET ROLE or the login chose it.$$;
comment on column integrations_private.audit_log.session_actor is
$$The login of the session.$$;
comment on column integrations_private.audit_log.application is
$$The application_name of the session, which the client chooses.$$;
comment on column integrations_private.audit_log.detail is
$$Ids, versions and states that tell more. Never a value, never a secret.$$;
comment on constraint audit_log_event_is_valid on integrations_private.audit_log is
$$A lower-case identifier of at most 63 characters.$$;
comment on constraint audit_log_detail_is_object on integrations_private.audit_log is
$$A JSON object.$$;

commit;
