-- Deploy integrations:functions/opened_key to pg
-- requires: functions/data_key_check_value
-- requires: types/tenant_key_state

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- The keyring is a setting, and a caller can set a setting: a key from it counts only if it proves
-- to be the one whose check value is stored. Its form is told in add_to_keyring.
create function integrations_private.opened_key(
  tenant_id uuid,
  key_id uuid,
  state integrations_private.tenant_key_state,
  check_value bytea
)
returns bytea
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_keyring constant text := pg_catalog.current_setting('integrations.keyring', true);
  v_hex text;
  v_data_key bytea;
begin
  if opened_key.state is null or opened_key.state in ('retired', 'destroyed') then
    raise exception 'tenant key is destroyed, retired or unknown'
      using errcode = 'IN307', detail = pg_catalog.format('Key %s.', opened_key.key_id);
  end if;

  v_hex := pg_catalog.split_part(
    pg_catalog.split_part(v_keyring, pg_catalog.format('|%s=', opened_key.key_id), 2), '|', 1);

  -- No pattern: one that counts to 64 costs five times as much as proving the key.
  if pg_catalog.left(v_keyring, 36) is distinct from opened_key.tenant_id::text
     or pg_catalog.length(v_hex) <> 64
     or v_hex !~ '^[0-9a-f]*$'
  then
    raise exception 'credentials are locked'
      using errcode = 'IN302',
            detail = pg_catalog.format('Key %s is not open.', opened_key.key_id),
            hint = 'Call integrations.unlock(...) in this transaction, after set_tenant;'
                   ' again if the tenant has a new key since.';
  end if;

  v_data_key := pg_catalog.decode(v_hex, 'hex');

  if integrations_private.data_key_check_value(opened_key.key_id, v_data_key)
     is distinct from opened_key.check_value
  then
    raise exception 'wrong tenant key'
      using errcode = 'IN303',
            detail = pg_catalog.format('Key %s.', opened_key.key_id),
            hint = 'Open keys with integrations.unlock(...), never by a setting.';
  end if;

  return v_data_key;
end;
$function$;

alter function integrations_private.opened_key(
  uuid,
  uuid,
  integrations_private.tenant_key_state,
  bytea
)
owner to integrations_owner;

comment on function integrations_private.opened_key(
  uuid,
  uuid,
  integrations_private.tenant_key_state,
  bytea
) is
$$Returns a data key from the keyring of this transaction, once it has proved itself. Errors: IN302
locked, IN303 wrong key, IN307 key destroyed, retired or unknown.$$;

revoke all on function integrations_private.opened_key(
  uuid,
  uuid,
  integrations_private.tenant_key_state,
  bytea
)
from public;

commit;
