-- Deploy integrations:tables/integration_instances to pg
-- requires: tables/integration_definitions
-- requires: tables/tenant_keys
-- requires: types/integration_instance_status
-- requires: functions/envelope_key_id

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create table integrations.integration_instances (
  tenant_id uuid not null,
  id uuid not null default pg_catalog.gen_random_uuid(),
  integration_id uuid not null,
  name varchar not null,
  status integrations.integration_instance_status not null default 'pending',
  status_reason text,
  credentials jsonb,
  credentials_version integer not null default 0,
  credentials_key_id uuid
    generated always as (integrations_private.envelope_key_id(credentials)) stored,
  credentials_expire_at timestamptz,
  config jsonb not null default '{}',
  last_used_at timestamptz,
  last_connected_at timestamptz,
  created_at timestamptz not null default pg_catalog.now(),
  updated_at timestamptz not null default pg_catalog.now(),

  constraint integration_instances_pkey primary key (tenant_id, id),
  constraint integration_instances_tenant_id_name_key unique (tenant_id, name),
  constraint integration_instances_integration_id_fkey
    foreign key (integration_id) references integrations.integration_definitions (id),
  constraint integration_instances_credentials_key_id_fkey
    foreign key (tenant_id, credentials_key_id)
    references integrations_private.tenant_keys (tenant_id, id),
  constraint integration_instances_name_is_valid
    check (name ~ '[^[:space:]]' and pg_catalog.char_length(name) <= 200),
  constraint integration_instances_status_reason_is_short
    check (pg_catalog.char_length(status_reason) <= 1000),
  constraint integration_instances_credentials_is_envelope
    check (credentials is null or credentials_key_id is not null),
  constraint integration_instances_credentials_version_is_count
    check (credentials_version >= 0 and (credentials is null or credentials_version > 0)),
  constraint integration_instances_revoked_has_no_credentials
    check (status <> 'revoked' or (credentials is null and credentials_expire_at is null)),
  constraint integration_instances_config_is_object
    check (pg_catalog.jsonb_typeof(config) = 'object')
) with (fillfactor = 90);

alter table integrations.integration_instances owner to integrations_owner;
revoke all on integrations.integration_instances from public;
alter table integrations.integration_instances enable row level security;
alter table integrations.integration_instances force row level security;

-- No histogram of ciphertext in pg_statistic: it would outlive revoked credentials and destroyed
-- keys.
alter table integrations.integration_instances alter column credentials set statistics 0;

comment on table integrations.integration_instances is
$$Installations of connectors, each with the encrypted credentials and the configuration of one
tenant. A tenant sees only its own.$$;
comment on column integrations.integration_instances.tenant_id is
$$The tenant that owns the installation. It leads every key, so that no tenant learns of another
through one.$$;
comment on column integrations.integration_instances.id is
$$Identifies the installation within its tenant.$$;
comment on column integrations.integration_instances.integration_id is
$$The definition that the installation is of.$$;
comment on column integrations.integration_instances.name is
$$The tenant's own name for the installation.$$;
comment on column integrations.integration_instances.status is
$$Where the installation is in its life: pending, active, error, disabled, revoked.$$;
comment on column integrations.integration_instances.status_reason is
$$Why it is in error, disabled or revoked; for people, never a secret.$$;
comment on column integrations.integration_instances.credentials is
$$The encrypted envelope: v, key (the tenant key), version, ct (OpenPGP ciphertext) and mac (HMAC),
the last two in base64. Never plaintext.$$;
comment on column integrations.integration_instances.credentials_version is
$$Counts the writes of credentials: 0 means never stored. It survives revocation and never goes
back.$$;
comment on column integrations.integration_instances.credentials_key_id is
$$The tenant key of the envelope, for foreign key and rotation.$$;
comment on column integrations.integration_instances.credentials_expire_at is
$$When the stored credentials expire, as they said themselves when they were stored.$$;
comment on column integrations.integration_instances.config is
$$Plain configuration, a JSON object. No place for secrets.$$;
comment on column integrations.integration_instances.last_used_at is
$$When the credentials were last read, to the minute.$$;
comment on column integrations.integration_instances.last_connected_at is
$$When the service last reported a good connection.$$;
comment on column integrations.integration_instances.created_at is
$$When the installation was created.$$;
comment on column integrations.integration_instances.updated_at is
$$When name, config, status or credentials last changed; not when they were used.$$;
comment on constraint integration_instances_tenant_id_name_key
on integrations.integration_instances is
$$A name is unique within its tenant only: other tenants never collide with it.$$;
comment on constraint integration_instances_integration_id_fkey
on integrations.integration_instances is
$$The definition exists.$$;
comment on constraint integration_instances_credentials_key_id_fkey
on integrations.integration_instances is
$$The key exists and is the same tenant's.$$;
comment on constraint integration_instances_name_is_valid on integrations.integration_instances is
$$Not blank, at most 200 characters.$$;
comment on constraint integration_instances_status_reason_is_short
on integrations.integration_instances is
$$At most 1000 characters.$$;
comment on constraint integration_instances_credentials_is_envelope
on integrations.integration_instances is
$$Either nothing or an encrypted envelope of format 1; plaintext credentials do not fit.$$;
comment on constraint integration_instances_credentials_version_is_count
on integrations.integration_instances is
$$Stored credentials have a version from 1.$$;
comment on constraint integration_instances_revoked_has_no_credentials
on integrations.integration_instances is
$$Revocation erases.$$;
comment on constraint integration_instances_config_is_object
on integrations.integration_instances is
$$Configuration is a JSON object.$$;

create index integration_instances_integration_id_idx
on integrations.integration_instances (integration_id);
comment on index integrations.integration_instances_integration_id_idx is
$$Finds the installations of a definition; serves its foreign key.$$;

create index integration_instances_tenant_id_credentials_key_id_idx
on integrations.integration_instances (tenant_id, credentials_key_id);
comment on index integrations.integration_instances_tenant_id_credentials_key_id_idx is
$$Finds the rows that a key still encrypts; serves its foreign key.$$;

create index integration_instances_tenant_id_created_at_idx
on integrations.integration_instances (tenant_id, created_at desc);
comment on index integrations.integration_instances_tenant_id_created_at_idx is
$$Lists a tenant's newest installations first.$$;

-- Not led by the tenant: it serves a list across tenants, and no key.
create index integration_instances_credentials_expire_at_idx
on integrations.integration_instances (credentials_expire_at) where status = 'active';
comment on index integrations.integration_instances_credentials_expire_at_idx is
$$Finds, across tenants, the credentials that expire soonest.$$;

commit;
