-- Deploy integrations:tables/refresh_leases to pg
-- requires: tables/integration_instances

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- A lease is a row with an end, never a lock of a session: a worker that dies, or a pooled
-- connection that goes on to somebody else, leaves nothing locked.
create table integrations_private.refresh_leases (
  tenant_id uuid not null,
  instance_id uuid not null,
  lease uuid,
  holder text not null,
  credentials_version integer not null,
  claimed_at timestamptz not null,
  leased_until timestamptz,
  failures integer not null default 0,
  retry_at timestamptz,
  refreshed_at timestamptz,

  constraint refresh_leases_pkey primary key (tenant_id, instance_id),
  constraint refresh_leases_tenant_id_lease_key unique (tenant_id, lease),
  constraint refresh_leases_instance_id_fkey
    foreign key (tenant_id, instance_id)
    references integrations.integration_instances (tenant_id, id) on delete cascade,
  constraint refresh_leases_lease_has_end check ((lease is null) = (leased_until is null)),
  constraint refresh_leases_holder_is_valid
    check (holder ~ '[^[:space:]]' and pg_catalog.char_length(holder) <= 200),
  constraint refresh_leases_failures_is_count
    check (failures >= 0 and (retry_at is null or failures > 0))
) with (fillfactor = 90);

alter table integrations_private.refresh_leases owner to integrations_owner;
revoke all on integrations_private.refresh_leases from public;
alter table integrations_private.refresh_leases enable row level security;
alter table integrations_private.refresh_leases force row level security;

comment on table integrations_private.refresh_leases is
$$Who refreshes the credentials of an installation, and how the last refreshes went. One row for
each installation that was ever claimed.$$;
comment on column integrations_private.refresh_leases.tenant_id is
$$The tenant of the installation.$$;
comment on column integrations_private.refresh_leases.instance_id is
$$The installation.$$;
comment on column integrations_private.refresh_leases.lease is
$$Identifies the lease, for whoever may end it; NULL once it has ended. After leased_until it is
worth nothing.$$;
comment on column integrations_private.refresh_leases.holder is
$$The name that the worker who claimed last gave itself.$$;
comment on column integrations_private.refresh_leases.credentials_version is
$$The credentials that the lease, the failures and the refresh are about. Other credentials make all
of them void.$$;
comment on column integrations_private.refresh_leases.claimed_at is
$$When it was claimed last.$$;
comment on column integrations_private.refresh_leases.leased_until is
$$When the lease expires, so that another may claim: nobody has to notice that a worker died.$$;
comment on column integrations_private.refresh_leases.failures is
$$How many refreshes of these credentials have failed, one after the other.$$;
comment on column integrations_private.refresh_leases.retry_at is
$$When a refresh that failed is due again. NULL after a success, or after too many failures.$$;
comment on column integrations_private.refresh_leases.refreshed_at is
$$When a refresh last stored credentials.$$;
comment on constraint refresh_leases_tenant_id_lease_key
on integrations_private.refresh_leases is
$$A lease is of one installation.$$;
comment on constraint refresh_leases_instance_id_fkey
on integrations_private.refresh_leases is
$$The installation exists; its lease goes with it.$$;
comment on constraint refresh_leases_lease_has_end on integrations_private.refresh_leases is
$$Every lease expires.$$;
comment on constraint refresh_leases_holder_is_valid on integrations_private.refresh_leases is
$$Not blank, at most 200 characters.$$;
comment on constraint refresh_leases_failures_is_count on integrations_private.refresh_leases is
$$Only what has failed backs off.$$;

create index refresh_leases_retry_at_idx
on integrations_private.refresh_leases (retry_at) where retry_at is not null;
comment on index integrations_private.refresh_leases_retry_at_idx is
$$Finds, across tenants, the failed refreshes that are due again.$$;

commit;
