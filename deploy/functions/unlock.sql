-- Deploy integrations:functions/unlock to pg
-- requires: functions/check_kek
-- requires: functions/unwrap_key
-- requires: functions/add_to_keyring
-- requires: tables/tenant_keys
-- requires: policies/tenant_keys
-- requires: functions/current_tenant
-- requires: functions/require_tenant

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Secrets stand in assignments only, never in a query or in the text of a SET statement: there
-- they would be seen by auto_explain, debug_print_plan and pg_stat_statements.
create function integrations.unlock(kek_id text, kek bytea)
returns integer
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
  v_tenant_id uuid := integrations.current_tenant();
  v_known boolean;
  v_kek_check_value bytea;
  v_key_id uuid;
  v_wrapped bytea;
  v_check_value bytea;
  v_keyring text := pg_catalog.current_setting('integrations.keyring', true);
  v_count integer := 0;
begin
  for v_kek_check_value, v_key_id, v_wrapped, v_check_value in
    select e.check_value, k.id, k.wrapped, k.check_value
      from integrations_private.tenant_keys as k
           join integrations_private.key_encryption_keys as e on e.kek_id = k.kek_id
     where k.tenant_id = v_tenant_id
       and k.kek_id = unlock.kek_id
       and k.state in ('active', 'decrypt_only')
  loop
    exit when pg_catalog.octet_length(kek) is distinct from 32
           or integrations_private.kek_check_value(unlock.kek_id, kek)
              is distinct from v_kek_check_value;
    v_keyring := integrations_private.add_to_keyring(
      v_keyring, v_tenant_id, v_key_id,
      integrations_private.unwrap_key(v_tenant_id, v_key_id, kek, v_wrapped, v_check_value));
    v_count := v_count + 1;
  end loop;

  if v_count = 0 then
    v_tenant_id := integrations_private.require_tenant();
    -- Says what is wrong with the KEK, if it is the KEK.
    v_known := integrations_private.check_kek(unlock.kek_id, kek);
    raise exception 'no usable tenant key under this KEK'
      using errcode = 'IN307',
            detail = pg_catalog.format('KEK %s.', unlock.kek_id),
            hint = 'Make one with integrations.create_tenant_key(...).';
  end if;

  v_keyring := pg_catalog.set_config('integrations.keyring', v_keyring, true);
  return v_count;
end;
$function$;

alter function integrations.unlock(text, bytea) owner to integrations_owner;

comment on function integrations.unlock(text, bytea) is
$$Opens the data keys of the transaction's tenant that this KEK (32 bytes) wraps, for this
transaction only, and returns how many.
Callable by svc_integration. Errors: 22023 bad argument, IN001 no tenant, IN303 wrong KEK, IN304 a
stored key was altered, IN307 no key under this KEK.$$;

revoke all on function integrations.unlock(text, bytea) from public;
grant execute on function integrations.unlock(text, bytea) to svc_integration;

commit;
