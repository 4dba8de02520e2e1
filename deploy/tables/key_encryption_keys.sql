-- Deploy integrations:tables/key_encryption_keys to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- No tenant data, so no row-level security; and no grants: only definer functions come here.
create table integrations_private.key_encryption_keys (
  kek_id text not null,
  check_value bytea,
  created_at timestamptz not null default pg_catalog.now(),

  constraint key_encryption_keys_pkey primary key (kek_id),
  constraint key_encryption_keys_kek_id_is_valid
    check (kek_id ~ '[^[:space:]]' and pg_catalog.char_length(kek_id) <= 200),
  constraint key_encryption_keys_check_value_is_mac
    check (pg_catalog.octet_length(check_value) = 32)
);

alter table integrations_private.key_encryption_keys owner to integrations_owner;
revoke all on integrations_private.key_encryption_keys from public;

comment on table integrations_private.key_encryption_keys is
$$The key-encryption keys (KEKs) that were ever used. Never the keys themselves: those live outside
the database. A kek_id names one KEK for ever.$$;
comment on column integrations_private.key_encryption_keys.kek_id is
$$The name that the service gives to the KEK.$$;
comment on column integrations_private.key_encryption_keys.check_value is
$$HMAC of kek_id under the KEK: tells whether other bytes come under the same name. It reveals
nothing of a random KEK. NULL where the KEK stays in a key management service.$$;
comment on column integrations_private.key_encryption_keys.created_at is
$$When the KEK was first used.$$;
comment on constraint key_encryption_keys_kek_id_is_valid
on integrations_private.key_encryption_keys is
$$Not blank, at most 200 characters.$$;
comment on constraint key_encryption_keys_check_value_is_mac
on integrations_private.key_encryption_keys is
$$A whole HMAC-SHA-256.$$;

commit;
