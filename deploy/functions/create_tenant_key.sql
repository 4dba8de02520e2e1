-- Deploy integrations:functions/create_tenant_key to pg
-- requires: functions/check_kek
-- requires: functions/wrapping_passphrase
-- requires: functions/data_key_check_value
-- requires: tables/tenant_keys
-- requires: policies/tenant_keys
-- requires: functions/require_tenant
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Concurrent calls for one tenant queue up at its first key, which is never deleted; before there
-- is one, the unique keys tell who was first. An advisory lock would be open to any database user.
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
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_id constant uuid := pg_catalog.gen_random_uuid();
  v_version integer;
  v_data_key bytea;
  v_wrapped bytea;
  v_check_value bytea;
  v_known boolean;
begin
  v_known := integrations_private.check_kek(create_tenant_key.kek_id, kek);

  if not v_known then
    v_check_value := integrations_private.kek_check_value(create_tenant_key.kek_id, kek);
    insert into integrations_private.key_encryption_keys (kek_id, check_value)
    values (create_tenant_key.kek_id, v_check_value)
    on conflict do nothing;
    -- Another transaction may have named another key so in the meantime.
    v_known := integrations_private.check_kek(create_tenant_key.kek_id, kek);
  end if;

  v_data_key := integrations_private.random_bytes(32);
  v_check_value := integrations_private.data_key_check_value(v_id, v_data_key);
  v_wrapped := integrations_private.encrypt_bytes(
    v_data_key, integrations_private.wrapping_passphrase(v_tenant_id, v_id, kek));

  for v_try in 1..10 loop
    begin
      perform
        from integrations_private.tenant_keys as k
       where k.tenant_id = v_tenant_id
         and k.version = 1
         for no key update;

      update integrations_private.tenant_keys as k
         set state = 'decrypt_only', updated_at = v_now
       where k.tenant_id = v_tenant_id
         and k.state = 'active';

      select coalesce(pg_catalog.max(k.version), 0) + 1 into v_version
        from integrations_private.tenant_keys as k
       where k.tenant_id = v_tenant_id;

      insert into integrations_private.tenant_keys
        (tenant_id, id, version, kek_id, wrapped, check_value)
      values
        (v_tenant_id, v_id, v_version, create_tenant_key.kek_id, v_wrapped, v_check_value);
      exit;
    exception when unique_violation then
      if v_try = 10 or pg_catalog.current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'another key of the tenant was made at the same time'
          using errcode = 'serialization_failure', hint = 'Try the transaction again.';
      end if;
    end;
  end loop;

  perform integrations_private.write_audit(
    v_tenant_id, null, 'tenant_key_created',
    pg_catalog.jsonb_build_object(
      'key', v_id, 'version', v_version, 'kek_id', create_tenant_key.kek_id));

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
