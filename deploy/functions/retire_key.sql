-- Deploy integrations:functions/retire_key to pg
-- requires: grants/integrations_keymaster
-- requires: functions/write_audit
-- requires: tables/tenant_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- FOR UPDATE waits for writers that hold the key: what they wrote is seen by the count.
create function integrations.retire_key(key_id uuid)
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
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_key record;
  v_count bigint;
begin
  if retire_key.key_id is null then
    raise exception 'key_id must not be null' using errcode = '22023';
  end if;
  -- Writers only lock the key: an older snapshot would not show what they stored in the meantime.
  if pg_catalog.current_setting('transaction_isolation') in ('repeatable read', 'serializable') then
    raise exception 'a key is retired in a transaction of isolation READ COMMITTED only'
      using errcode = '25001', hint = 'BEGIN ISOLATION LEVEL READ COMMITTED, or set the default.';
  end if;

  select k.tenant_id, k.state into v_key
    from integrations_private.tenant_keys as k
   where k.id = retire_key.key_id
     for update;

  if not found or v_key.state in ('retired', 'destroyed') then
    raise exception 'tenant key is destroyed, retired or unknown'
      using errcode = 'IN307', detail = pg_catalog.format('Key %s.', retire_key.key_id);
  end if;

  select pg_catalog.count(*) into v_count
    from integrations.integration_instances as i
   where i.tenant_id = v_key.tenant_id
     and i.credentials_key_id = retire_key.key_id;

  if v_count > 0 then
    raise exception 'tenant key is still needed'
      using errcode = 'IN308',
            detail = pg_catalog.format('Key %s, rows: %s.', retire_key.key_id, v_count),
            hint = 'Move them with reencrypt_batch. Those in quarantine need new credentials.';
  end if;

  update integrations_private.tenant_keys as k
     set state = 'retired', updated_at = v_now
   where k.tenant_id = v_key.tenant_id
     and k.id = retire_key.key_id;

  perform integrations_private.write_audit(
    v_key.tenant_id, null, 'tenant_key_retired',
    pg_catalog.jsonb_build_object('key', retire_key.key_id));
end;
$function$;

-- Giving a function away needs CREATE on its schema for the new owner, for this moment only.
grant create on schema integrations to integrations_keymaster;
alter function integrations.retire_key(uuid) owner to integrations_keymaster;
revoke create on schema integrations from integrations_keymaster;

comment on function integrations.retire_key(uuid) is
$$Takes a data key, of any tenant, out of use. No row may need it any more. It can still be
destroyed.
Callable by integrations_admin. Errors: 22023 null, 25001 another isolation than READ COMMITTED,
IN307 key destroyed, retired or unknown, IN308 still needed.$$;

revoke all on function integrations.retire_key(uuid) from public;
grant execute on function integrations.retire_key(uuid) to integrations_admin;

commit;
