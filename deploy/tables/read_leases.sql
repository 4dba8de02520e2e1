-- Deploy integrations:tables/read_leases to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- No foreign key to the instance: its deletion would fail, or wait for a lease. The lease of a
-- deleted instance opens nothing, and is over in a minute anyway. An xid8 stands for a whole
-- transaction, savepoints included, and never comes round again.
create table integrations_private.read_leases (
  tenant_id uuid not null,
  id uuid not null default pg_catalog.gen_random_uuid(),
  instance_id uuid not null,
  session_actor text not null,
  opened_by xid8 not null,
  opened_at timestamptz not null,
  expires_at timestamptz not null,

  constraint read_leases_pkey primary key (tenant_id, id),
  constraint read_leases_ends_after_it_begins check (expires_at > opened_at)
);

alter table integrations_private.read_leases owner to integrations_owner;
revoke all on integrations_private.read_leases from public;
alter table integrations_private.read_leases enable row level security;
alter table integrations_private.read_leases force row level security;

create index read_leases_tenant_id_expires_at_idx
on integrations_private.read_leases (tenant_id, expires_at);
comment on index integrations_private.read_leases_tenant_id_expires_at_idx is
$$Finds the leases that are over, to remove them.$$;

comment on table integrations_private.read_leases is
$$Permissions to read credentials once, whose opening is audited and committed before.$$;
comment on column integrations_private.read_leases.tenant_id is
$$The tenant whose credentials may be read.$$;
comment on column integrations_private.read_leases.id is
$$The lease, as its holder knows it.$$;
comment on column integrations_private.read_leases.instance_id is
$$The installation whose credentials may be read.$$;
comment on column integrations_private.read_leases.session_actor is
$$The login that opened it; nobody else can use it.$$;
comment on column integrations_private.read_leases.opened_by is
$$The transaction that opened it, in which it cannot be used.$$;
comment on column integrations_private.read_leases.opened_at is
$$When it was opened.$$;
comment on column integrations_private.read_leases.expires_at is
$$When it ends, used or not.$$;
comment on constraint read_leases_ends_after_it_begins on integrations_private.read_leases is
$$A lease lasts for some time.$$;

commit;
