-- Deploy integrations:functions/unwrap_key to pg
-- requires: functions/pgcrypto
-- requires: functions/wrapping_passphrase
-- requires: functions/data_key_check_value

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- OpenPGP alone does not protect integrity: what comes out counts only if it proves to be the key
-- whose check value is stored.
create function integrations_private.unwrap_key(
  tenant_id uuid,
  key_id uuid,
  kek bytea,
  wrapped bytea,
  check_value bytea
)
returns bytea
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_data_key bytea;
begin
  begin
    v_data_key := integrations_private.decrypt_bytes(
      unwrap_key.wrapped,
      integrations_private.wrapping_passphrase(unwrap_key.tenant_id, unwrap_key.key_id, kek));
  exception
    when insufficient_resources or program_limit_exceeded then
      raise;                                 -- the server's trouble, not damage
    when others then
      v_data_key := null;
  end;

  if v_data_key is null
     or integrations_private.data_key_check_value(unwrap_key.key_id, v_data_key)
        is distinct from unwrap_key.check_value
  then
    raise exception 'integrity check failed'
      using errcode = 'IN304',
            detail = pg_catalog.format('Key %s.', unwrap_key.key_id),
            hint = 'The stored key was altered or moved. Restore it from a backup.';
  end if;

  return v_data_key;
end;
$function$;

alter function integrations_private.unwrap_key(uuid, uuid, bytea, bytea, bytea)
owner to integrations_owner;

comment on function integrations_private.unwrap_key(uuid, uuid, bytea, bytea, bytea) is
$$Returns a data key of a tenant, unwrapped by its KEK. Errors: IN304 the stored key was altered or
moved.$$;

revoke all on function integrations_private.unwrap_key(uuid, uuid, bytea, bytea, bytea) from public;
grant execute on function integrations_private.unwrap_key(uuid, uuid, bytea, bytea, bytea)
to integrations_keymaster;

commit;
