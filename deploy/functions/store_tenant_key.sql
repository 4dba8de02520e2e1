-- Deploy integrations:functions/store_tenant_key to pg
-- requires: tables/tenant_keys
-- requires: policies/tenant_keys
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Concurrent calls for one tenant queue up at its first key, which is never deleted; before there
-- is one, the unique keys tell who was first. An advisory lock would be open to any database user.
create function integrations_private.store_tenant_key(
  tenant_id uuid,
  key_id uuid,
  kek_id text,
  wrapped bytea,
  check_value bytea
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_now constant timestamptz := pg_catalog.clock_timestamp();
  v_version integer;
begin
  for v_try in 1..10 loop
    begin
      perform
        from integrations_private.tenant_keys as k
       where k.tenant_id = store_tenant_key.tenant_id
         and k.version = 1
         for no key update;

      -- Who does not hold the first key may only try to be the first: with more than that in hand,
      -- two callers could wait for each other.
      v_version := 1;
      if found then
        update integrations_private.tenant_keys as k
           set state = 'decrypt_only', updated_at = v_now
         where k.tenant_id = store_tenant_key.tenant_id
           and k.state = 'active';

        select coalesce(pg_catalog.max(k.version), 0) + 1 into v_version
          from integrations_private.tenant_keys as k
         where k.tenant_id = store_tenant_key.tenant_id;
      end if;

      insert into integrations_private.tenant_keys
        (tenant_id, id, version, kek_id, wrapped, check_value)
      values
        (store_tenant_key.tenant_id, store_tenant_key.key_id, v_version, store_tenant_key.kek_id,
         store_tenant_key.wrapped, store_tenant_key.check_value);
      exit;
    exception when unique_violation then
      -- An old snapshot does not show it, however often one looks.
      if v_try = 10 then
        raise exception 'another key of the tenant was made at the same time'
          using errcode = 'serialization_failure', hint = 'Try the transaction again.';
      end if;
    end;
  end loop;

  perform integrations_private.write_audit(
    store_tenant_key.tenant_id, null, 'tenant_key_created',
    pg_catalog.jsonb_build_object(
      'key', store_tenant_key.key_id, 'version', v_version, 'kek_id', store_tenant_key.kek_id));
end;
$function$;

alter function integrations_private.store_tenant_key(uuid, uuid, text, bytea, bytea)
owner to integrations_owner;

comment on function integrations_private.store_tenant_key(uuid, uuid, text, bytea, bytea) is
$$Stores a wrapped data key as the active one of a tenant; the former one only decrypts from now on.
Errors: 40001 another key was made at the same time.$$;

revoke all on function integrations_private.store_tenant_key(uuid, uuid, text, bytea, bytea)
from public;

commit;
