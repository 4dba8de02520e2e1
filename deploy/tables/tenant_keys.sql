-- Deploy integrations:tables/tenant_keys to pg
-- requires: tables/key_encryption_keys
-- requires: types/tenant_key_state

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table integrations_private.tenant_keys (
  tenant_id uuid not null,
  id uuid not null default pg_catalog.gen_random_uuid(),
  version integer not null,
  kek_id text not null,
  wrapped bytea,
  check_value bytea not null,
  state integrations_private.tenant_key_state not null default 'active',
  created_at timestamptz not null default pg_catalog.now(),
  updated_at timestamptz not null default pg_catalog.now(),

  constraint tenant_keys_pkey primary key (tenant_id, id),
  constraint tenant_keys_tenant_id_version_key unique (tenant_id, version),
  constraint tenant_keys_kek_id_fkey
    foreign key (kek_id) references integrations_private.key_encryption_keys (kek_id),
  constraint tenant_keys_version_is_positive check (version > 0),
  constraint tenant_keys_check_value_is_mac check (pg_catalog.octet_length(check_value) = 16),
  constraint tenant_keys_destroyed_has_no_key check ((state = 'destroyed') = (wrapped is null))
)
-- Few rows a page, so that PostgreSQL finds a tenant's keys by index from some fifty on: in a table
-- of few pages it would look at everybody's.
with (fillfactor = 25);

alter table integrations_private.tenant_keys owner to integrations_owner;
revoke all on integrations_private.tenant_keys from public;
alter table integrations_private.tenant_keys enable row level security;
alter table integrations_private.tenant_keys force row level security;

-- No histogram of key material in pg_statistic: it would outlive a destroyed key.
alter table integrations_private.tenant_keys alter column wrapped set statistics 0;
alter table integrations_private.tenant_keys alter column check_value set statistics 0;

comment on table integrations_private.tenant_keys is
$$The data keys of the tenants, each wrapped by a key-encryption key that the database never
stores.$$;
comment on column integrations_private.tenant_keys.tenant_id is
$$The tenant whose credentials the key encrypts.$$;
comment on column integrations_private.tenant_keys.id is
$$Identifies the key; it stands in every envelope that the key made.$$;
comment on column integrations_private.tenant_keys.version is
$$Counts the keys of the tenant, from 1.$$;
comment on column integrations_private.tenant_keys.kek_id is
$$Names the key-encryption key that wraps it.$$;
comment on column integrations_private.tenant_keys.wrapped is
$$The data key, encrypted under a subkey that only this KEK, tenant and key id derive. NULL once
destroyed.$$;
comment on column integrations_private.tenant_keys.check_value is
$$HMAC of the key id under the data key: proves at each use that the key at hand is this one.$$;
comment on column integrations_private.tenant_keys.state is
$$Where the key is in its life.$$;
comment on column integrations_private.tenant_keys.created_at is
$$When the key was made.$$;
comment on column integrations_private.tenant_keys.updated_at is
$$When its state or its wrapping last changed.$$;
comment on constraint tenant_keys_tenant_id_version_key on integrations_private.tenant_keys is
$$The keys of a tenant are counted without repetition.$$;
comment on constraint tenant_keys_kek_id_fkey on integrations_private.tenant_keys is
$$The KEK has been named before.$$;
comment on constraint tenant_keys_version_is_positive on integrations_private.tenant_keys is
$$Versions count from 1.$$;
comment on constraint tenant_keys_check_value_is_mac on integrations_private.tenant_keys is
$$The first 16 bytes of an HMAC-SHA-256.$$;
comment on constraint tenant_keys_destroyed_has_no_key on integrations_private.tenant_keys is
$$A key is destroyed exactly when its material is gone.$$;

create unique index tenant_keys_tenant_id_active_idx
on integrations_private.tenant_keys (tenant_id) where state = 'active';
comment on index integrations_private.tenant_keys_tenant_id_active_idx is
$$A tenant has at most one active key.$$;

create index tenant_keys_kek_id_idx
on integrations_private.tenant_keys (kek_id);
comment on index integrations_private.tenant_keys_kek_id_idx is
$$Finds the keys that a KEK wraps, to wrap them anew.$$;

commit;
