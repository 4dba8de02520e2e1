-- Deploy integrations:functions/wrapping_passphrase to pg
-- requires: functions/pgcrypto

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Derived from the tenant and the key's id, so that a wrapped key moved to another row does not
-- open.
create function integrations_private.wrapping_passphrase(tenant_id uuid, key_id uuid, kek bytea)
returns text
language sql
stable
parallel safe
return pg_catalog.encode(
  integrations_private.hmac(
    pg_catalog.convert_to(pg_catalog.format('wrap|v1|%s|%s', tenant_id, key_id), 'UTF8'), kek),
  'hex');

alter function integrations_private.wrapping_passphrase(uuid, uuid, bytea)
owner to integrations_owner;

comment on function integrations_private.wrapping_passphrase(uuid, uuid, bytea) is
$$The passphrase, in hex, under which a KEK wraps one data key of one tenant.$$;

revoke all on function integrations_private.wrapping_passphrase(uuid, uuid, bytea) from public;
grant execute on function integrations_private.wrapping_passphrase(uuid, uuid, bytea)
to integrations_keymaster;

commit;
