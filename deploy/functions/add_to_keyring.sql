-- Deploy integrations:functions/add_to_keyring to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- A keyring is for one tenant: a key of another one starts a new ring. Its form:
-- <tenant>|<key id>=<hex>|<key id>=<hex>...
create function integrations_private.add_to_keyring(
  keyring text,
  tenant_id uuid,
  key_id uuid,
  data_key bytea
)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_at integer;
begin
  if pg_catalog.left(keyring, 36) is distinct from add_to_keyring.tenant_id::text then
    keyring := add_to_keyring.tenant_id::text;
  else
    -- The same key again takes the place of its former entry, or of what a caller put there.
    loop
      v_at := pg_catalog.strpos(keyring, pg_catalog.format('|%s=', add_to_keyring.key_id));
      exit when v_at = 0;
      keyring := overlay(keyring placing '' from v_at for 102);
    end loop;
  end if;

  return pg_catalog.format(
    '%s|%s=%s', keyring, add_to_keyring.key_id, pg_catalog.encode(data_key, 'hex'));
end;
$function$;

alter function integrations_private.add_to_keyring(text, uuid, uuid, bytea)
owner to integrations_owner;

comment on function integrations_private.add_to_keyring(text, uuid, uuid, bytea) is
$$Returns the keyring with a data key of the tenant added.$$;

revoke all on function integrations_private.add_to_keyring(text, uuid, uuid, bytea) from public;

commit;
