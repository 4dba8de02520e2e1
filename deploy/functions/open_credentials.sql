-- Deploy integrations:functions/open_credentials to pg
-- requires: functions/credentials_subkey

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- The MAC is checked before anything is decrypted. Every cause of failure gives the same error: a
-- difference would tell an attacker how far a forgery came.
create function integrations_private.open_credentials(
  tenant_id uuid,
  instance_id uuid,
  key_id uuid,
  version integer,
  data_key bytea,
  envelope jsonb
)
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_ciphertext bytea;
  v_mac bytea;
  v_credentials text;
begin
  begin
    v_ciphertext := pg_catalog.decode(envelope ->> 'ct', 'base64');
    v_mac := integrations_private.hmac(
      v_ciphertext,
      integrations_private.credentials_subkey(
        'mac', tenant_id, instance_id, key_id, open_credentials.version, data_key));

    -- The whole envelope, as seal_credentials writes it: decode() takes more than one text for the
    -- same bytes.
    if envelope::text
       = pg_catalog.format(
           '{"v": 1, "ct": "%s", "key": "%s", "mac": "%s", "version": %s}',
           pg_catalog.replace(pg_catalog.encode(v_ciphertext, 'base64'), E'\n', ''),
           open_credentials.key_id, pg_catalog.encode(v_mac, 'base64'), open_credentials.version)
    then
      v_credentials := integrations_private.decrypt_text(
        v_ciphertext,
        pg_catalog.encode(
          integrations_private.credentials_subkey(
            'enc', tenant_id, instance_id, key_id, open_credentials.version, data_key),
          'hex'));
      -- Here, where an error does not quote it: the caller casts it.
      v_credentials :=
        case when pg_catalog.jsonb_typeof(v_credentials::jsonb) = 'object' then v_credentials end;
    end if;
  exception
    when insufficient_resources or program_limit_exceeded then
      raise;                                 -- the server's trouble, not damage
    when others then
      v_credentials := null;
  end;

  if v_credentials is null then
    raise exception 'integrity check failed'
      using errcode = 'IN304',
            detail = pg_catalog.format('Instance %s, key %s.', instance_id, key_id),
            hint = 'The stored envelope was altered or moved. Store the credentials anew.';
  end if;

  return v_credentials;
end;
$function$;

alter function integrations_private.open_credentials(uuid, uuid, uuid, integer, bytea, jsonb)
owner to integrations_owner;

comment on function integrations_private.open_credentials(
  uuid,
  uuid,
  uuid,
  integer,
  bytea,
  jsonb
) is
$$Returns the credentials in an envelope, as they were stored. Errors: IN304 altered, moved, or not
of this version.$$;

revoke all on function integrations_private.open_credentials(
  uuid,
  uuid,
  uuid,
  integer,
  bytea,
  jsonb
)
from public;

commit;
