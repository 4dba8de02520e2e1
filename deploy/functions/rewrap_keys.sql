-- Deploy integrations:functions/rewrap_keys to pg
-- requires: grants/integrations_keymaster
-- requires: functions/unwrap_key
-- requires: functions/check_kek
-- requires: functions/register_kek
-- requires: functions/wrapping_passphrase
-- requires: functions/write_audit
-- requires: tables/tenant_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- The data keys stay what they are, so no credentials are touched: each key is wrapped by the old
-- KEK or by the new one, and usable with that one, at every moment.
create function integrations.rewrap_keys(
  old_kek_id text,
  old_kek bytea,
  new_kek_id text,
  new_kek bytea,
  max_keys integer default 1000
)
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
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_known boolean;
  v_key record;
  v_data_key bytea;
  v_wrapped bytea;
  v_count integer := 0;
begin
  if max_keys is null or max_keys < 1 then
    raise exception 'max_keys must be at least 1' using errcode = '22023';
  end if;
  if old_kek_id = new_kek_id then
    raise exception 'the new KEK must have another kek_id' using errcode = '22023';
  end if;

  v_known := integrations_private.check_kek(old_kek_id, old_kek);
  if not v_known then
    raise exception 'key-encryption key is unknown'
      using errcode = 'IN307', detail = pg_catalog.format('KEK %s.', old_kek_id);
  end if;
  v_known := integrations_private.register_kek(new_kek_id, new_kek);

  for v_key in
    select k.tenant_id, k.id, k.wrapped, k.check_value
      from integrations_private.tenant_keys as k
     where k.kek_id = old_kek_id
       and k.wrapped is not null
     order by k.tenant_id, k.version
     limit max_keys
       for no key update
  loop
    v_data_key := integrations_private.unwrap_key(
      v_key.tenant_id, v_key.id, old_kek, v_key.wrapped, v_key.check_value);
    v_wrapped := integrations_private.encrypt_bytes(
      v_data_key, integrations_private.wrapping_passphrase(v_key.tenant_id, v_key.id, new_kek));

    update integrations_private.tenant_keys as k
       set kek_id = new_kek_id, wrapped = v_wrapped, updated_at = v_now
     where k.tenant_id = v_key.tenant_id
       and k.id = v_key.id;

    perform integrations_private.write_audit(
      v_key.tenant_id, null, 'tenant_key_rewrapped',
      pg_catalog.jsonb_build_object('key', v_key.id, 'from', old_kek_id, 'to', new_kek_id));

    v_count := v_count + 1;
  end loop;

  return v_count;
end;
$function$;

-- Giving a function away needs CREATE on its schema for the new owner, for this moment only.
grant create on schema integrations to integrations_keymaster;
alter function integrations.rewrap_keys(text, bytea, text, bytea, integer)
owner to integrations_keymaster;
revoke create on schema integrations from integrations_keymaster;

comment on function integrations.rewrap_keys(text, bytea, text, bytea, integer) is
$$Wraps up to max_keys data keys, of all tenants, under a new KEK (32 bytes) instead of the old one,
and returns how many. Call it, in a transaction each, until it returns 0; the service can use both
KEKs meanwhile.
Callable by integrations_admin. Errors: 22023 bad argument, IN303 another KEK under one of the
ids, IN304 a stored key was altered, IN307 the old kek_id is unknown.$$;

revoke all on function integrations.rewrap_keys(text, bytea, text, bytea, integer) from public;
grant execute on function integrations.rewrap_keys(text, bytea, text, bytea, integer)
to integrations_admin;

commit;
