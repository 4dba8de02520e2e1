-- Deploy integrations:functions/unlock_key to pg
-- requires: functions/add_to_keyring
-- requires: functions/data_key_check_value
-- requires: functions/require_tenant
-- requires: tables/tenant_keys
-- requires: policies/tenant_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- The KEK never comes here: the service unwraps outside. The check value tells whether it
-- unwrapped the right key.
create function integrations.unlock_key(key_id uuid, data_key bytea)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set row_security = on
set plpgsql.print_strict_params = off
set debug_print_plan = off
set debug_print_parse = off
set debug_print_rewritten = off
as $function$
declare
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_state integrations_private.tenant_key_state;
  v_check_value bytea;
  v_keyring text;
begin
  if unlock_key.key_id is null then
    raise exception 'key_id must not be null' using errcode = '22023';
  end if;
  if unlock_key.data_key is null or pg_catalog.octet_length(unlock_key.data_key) <> 32 then
    raise exception 'data_key must be 32 bytes' using errcode = '22023';
  end if;

  select k.state, k.check_value into v_state, v_check_value
    from integrations_private.tenant_keys as k
   where k.tenant_id = v_tenant_id
     and k.id = unlock_key.key_id;

  if not found or v_state in ('retired', 'destroyed') then
    raise exception 'tenant key is destroyed, retired or unknown'
      using errcode = 'IN307', detail = pg_catalog.format('Key %s.', unlock_key.key_id);
  end if;

  if integrations_private.data_key_check_value(unlock_key.key_id, unlock_key.data_key)
     <> v_check_value
  then
    raise exception 'wrong tenant key'
      using errcode = 'IN303',
            detail = pg_catalog.format('Key %s.', unlock_key.key_id),
            hint = 'Unwrap what wrapped_keys() returns for this key.';
  end if;

  v_keyring := integrations_private.add_to_keyring(
    pg_catalog.current_setting('integrations.keyring', true), v_tenant_id, unlock_key.key_id,
    unlock_key.data_key);
  v_keyring := pg_catalog.set_config('integrations.keyring', v_keyring, true);
end;
$function$;

alter function integrations.unlock_key(uuid, bytea) owner to integrations_owner;

comment on function integrations.unlock_key(uuid, bytea) is
$$Opens one data key (32 bytes) of the transaction's tenant, for this transaction only. For a
service whose KEK never leaves its key management service.
Callable by svc_integration. Errors: 22023 bad argument, IN001 no tenant, IN303 wrong key, IN307
key destroyed, retired or unknown.$$;

revoke all on function integrations.unlock_key(uuid, bytea) from public;
grant execute on function integrations.unlock_key(uuid, bytea) to svc_integration;

commit;
