-- Deploy integrations:functions/destroy_key to pg
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

-- Also a key that rows still need: that is how the data of a tenant are shredded. In backups the
-- wrapped key lives on, until its KEK is destroyed.
create function integrations.destroy_key(key_id uuid, confirm text)
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
  if destroy_key.key_id is null
     or destroy_key.confirm is distinct from destroy_key.key_id::text
  then
    raise exception 'confirm must be the key id' using errcode = '22023';
  end if;

  select k.tenant_id, k.state into v_key
    from integrations_private.tenant_keys as k
   where k.id = destroy_key.key_id
     for update;

  if not found or v_key.state = 'destroyed' then
    raise exception 'tenant key is destroyed, retired or unknown'
      using errcode = 'IN307', detail = pg_catalog.format('Key %s.', destroy_key.key_id);
  end if;

  select pg_catalog.count(*) into v_count
    from integrations.integration_instances as i
   where i.tenant_id = v_key.tenant_id
     and i.credentials_key_id = destroy_key.key_id;

  update integrations_private.tenant_keys as k
     set state = 'destroyed', wrapped = null, updated_at = v_now
   where k.tenant_id = v_key.tenant_id
     and k.id = destroy_key.key_id;

  perform integrations_private.write_audit(
    v_key.tenant_id, null, 'tenant_key_destroyed',
    pg_catalog.jsonb_build_object('key', destroy_key.key_id, 'rows', v_count));
end;
$function$;

-- Giving a function away needs CREATE on its schema for the new owner, for this moment only.
grant create on schema integrations to integrations_keymaster;
alter function integrations.destroy_key(uuid, text) owner to integrations_keymaster;
revoke create on schema integrations from integrations_keymaster;

comment on function integrations.destroy_key(uuid, text) is
$$Destroys the material of a data key, of any tenant and in any state: what it encrypted cannot be
read again. confirm repeats the key id as text.
Callable by integrations_admin. Errors: 22023 confirm is not the key id, IN307 key destroyed or
unknown.$$;

revoke all on function integrations.destroy_key(uuid, text) from public;
grant execute on function integrations.destroy_key(uuid, text) to integrations_admin;

commit;
