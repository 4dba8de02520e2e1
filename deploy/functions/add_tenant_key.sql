-- Deploy integrations:functions/add_tenant_key to pg
-- requires: functions/check_name
-- requires: functions/store_tenant_key
-- requires: functions/data_key_check_value
-- requires: functions/require_tenant
-- requires: tables/key_encryption_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- A KEK that the database never sees has no check value, and so no function that takes a KEK
-- accepts one under its name.
create function integrations.add_tenant_key(kek_id text, data_key bytea, wrapped bytea)
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
  v_check_value bytea;
begin
  perform integrations_private.check_name(add_tenant_key.kek_id, 'kek_id');
  if add_tenant_key.data_key is null or pg_catalog.octet_length(add_tenant_key.data_key) <> 32 then
    raise exception 'data_key must be 32 bytes' using errcode = '22023';
  end if;
  if add_tenant_key.wrapped is null
     or pg_catalog.octet_length(add_tenant_key.wrapped) not between 1 and 16384
     or add_tenant_key.wrapped = add_tenant_key.data_key
  then
    raise exception 'wrapped must be the wrapped key, of at most 16 KiB' using errcode = '22023';
  end if;

  insert into integrations_private.key_encryption_keys (kek_id, check_value)
  values (add_tenant_key.kek_id, null)
  on conflict do nothing;

  perform
    from integrations_private.key_encryption_keys as k
   where k.kek_id = add_tenant_key.kek_id
     and k.check_value is not null;

  if found then
    raise exception 'wrong key-encryption key'
      using errcode = 'IN303',
            detail = pg_catalog.format('KEK %s.', add_tenant_key.kek_id),
            hint = 'This kek_id names a KEK that is brought to the database. Use another id.';
  end if;

  v_check_value := integrations_private.data_key_check_value(v_id, add_tenant_key.data_key);
  perform integrations_private.store_tenant_key(
    v_tenant_id, v_id, add_tenant_key.kek_id, add_tenant_key.wrapped, v_check_value);

  return v_id;
end;
$function$;

alter function integrations.add_tenant_key(text, bytea, bytea) owner to integrations_owner;

comment on function integrations.add_tenant_key(text, bytea, bytea) is
$$Makes a data key (32 bytes) that the service generated and wrapped outside the new active key of
the transaction's tenant, and returns its id. The former key only decrypts from now on. The new
key is not unlocked.
Callable by svc_integration. Errors: 22023 bad argument, IN001 no tenant, IN303 the kek_id names a
KEK of the other kind.$$;

revoke all on function integrations.add_tenant_key(text, bytea, bytea) from public;
grant execute on function integrations.add_tenant_key(text, bytea, bytea) to svc_integration;

commit;
