-- Deploy integrations:functions/create_tenant_key to pg
-- requires: functions/register_kek
-- requires: functions/pgcrypto
-- requires: functions/wrapping_passphrase
-- requires: functions/data_key_check_value
-- requires: functions/store_tenant_key
-- requires: functions/require_tenant

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

create function integrations.create_tenant_key(kek_id text, kek bytea)
returns uuid
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
  v_id constant uuid := pg_catalog.gen_random_uuid();
  v_known boolean;
  v_data_key bytea;
  v_wrapped bytea;
  v_check_value bytea;
begin
  v_known := integrations_private.register_kek(create_tenant_key.kek_id, kek);

  v_data_key := integrations_private.random_bytes(32);
  v_check_value := integrations_private.data_key_check_value(v_id, v_data_key);
  v_wrapped := integrations_private.encrypt_bytes(
    v_data_key, integrations_private.wrapping_passphrase(v_tenant_id, v_id, kek));

  perform integrations_private.store_tenant_key(
    v_tenant_id, v_id, create_tenant_key.kek_id, v_wrapped, v_check_value);

  return v_id;
end;
$function$;

alter function integrations.create_tenant_key(text, bytea) owner to integrations_owner;

comment on function integrations.create_tenant_key(text, bytea) is
$$Makes a new active data key for the transaction's tenant, wrapped by the KEK (32 bytes), and
returns its id. The former key only decrypts from now on. The new key is not unlocked.
Callable by svc_integration, integrations_admin. Errors: 22023 bad argument, IN001 no tenant,
IN303 another KEK under this kek_id.$$;

revoke all on function integrations.create_tenant_key(text, bytea) from public;
grant execute on function integrations.create_tenant_key(text, bytea)
to integrations_admin, svc_integration;

commit;
