-- Deploy integrations:functions/credentials_subkey to pg
-- requires: functions/pgcrypto

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- pgcrypto has no additional data: the row's identity is bound by deriving the keys from it. A
-- ciphertext that is moved to another row, key, version or tenant meets other keys there.
create function integrations_private.credentials_subkey(
  purpose text,
  tenant_id uuid,
  instance_id uuid,
  key_id uuid,
  version integer,
  data_key bytea
)
returns bytea
language sql
stable
parallel safe
return integrations_private.hmac(
  pg_catalog.convert_to(
    pg_catalog.format('%s|v1|%s|%s|%s|%s', purpose, tenant_id, instance_id, key_id, version),
    'UTF8'),
  data_key);

alter function integrations_private.credentials_subkey(text, uuid, uuid, uuid, integer, bytea)
owner to integrations_owner;

comment on function integrations_private.credentials_subkey(
  text,
  uuid,
  uuid,
  uuid,
  integer,
  bytea
) is
$$The subkey for one purpose ('enc' or 'mac') of one version of one instance's credentials.$$;

revoke all on function integrations_private.credentials_subkey(
  text,
  uuid,
  uuid,
  uuid,
  integer,
  bytea
)
from public;

commit;
