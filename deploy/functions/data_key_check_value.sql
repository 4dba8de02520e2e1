-- Deploy integrations:functions/data_key_check_value to pg
-- requires: functions/pgcrypto

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create function integrations_private.data_key_check_value(key_id uuid, data_key bytea)
returns bytea
language sql
stable
parallel safe
return pg_catalog.substr(
  integrations_private.hmac(
    pg_catalog.convert_to('check|v1|' || key_id::text, 'UTF8'), data_key),
  1, 16);

alter function integrations_private.data_key_check_value(uuid, bytea) owner to integrations_owner;

comment on function integrations_private.data_key_check_value(uuid, bytea) is
$$The first 16 bytes of the HMAC of the id of a data key under the key.$$;

revoke all on function integrations_private.data_key_check_value(uuid, bytea) from public;
grant execute on function integrations_private.data_key_check_value(uuid, bytea)
to integrations_keymaster;

commit;
