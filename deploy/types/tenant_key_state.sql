-- Deploy integrations:types/tenant_key_state to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create type integrations_private.tenant_key_state as enum (
  'active',
  'decrypt_only',
  'retired',
  'destroyed'
);

alter type integrations_private.tenant_key_state owner to integrations_owner;

comment on type integrations_private.tenant_key_state is
$$The life of a tenant's data key: active encrypts and decrypts; decrypt_only decrypts what it once
encrypted; retired is out of use; destroyed has lost its key material for ever.$$;

commit;
