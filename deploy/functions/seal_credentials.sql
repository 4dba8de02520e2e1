-- Deploy integrations:functions/seal_credentials to pg
-- requires: functions/credentials_subkey

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Encrypt, then MAC. Secrets stand in assignments only, never in a query: a query would show them
-- to auto_explain and debug_print_plan.
create function integrations_private.seal_credentials(
  tenant_id uuid,
  instance_id uuid,
  key_id uuid,
  version integer,
  data_key bytea,
  credentials text
)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_ciphertext bytea;
  v_mac bytea;
begin
  v_ciphertext := integrations_private.encrypt_text(
    credentials,
    pg_catalog.encode(
      integrations_private.credentials_subkey(
        'enc', tenant_id, instance_id, key_id, version, data_key),
      'hex'));
  v_mac := integrations_private.hmac(
    v_ciphertext,
    integrations_private.credentials_subkey(
      'mac', tenant_id, instance_id, key_id, version, data_key));

  -- encode() breaks base64 into lines; an envelope has none.
  return pg_catalog.jsonb_build_object(
    'v', 1,
    'key', key_id,
    'version', version,
    'ct', pg_catalog.replace(pg_catalog.encode(v_ciphertext, 'base64'), E'\n', ''),
    'mac', pg_catalog.encode(v_mac, 'base64'));
end;
$function$;

alter function integrations_private.seal_credentials(uuid, uuid, uuid, integer, bytea, text)
owner to integrations_owner;

comment on function integrations_private.seal_credentials(uuid, uuid, uuid, integer, bytea, text) is
$$Returns the envelope of credentials, bound to tenant, instance, key and version.$$;

revoke all on function integrations_private.seal_credentials(uuid, uuid, uuid, integer, bytea, text)
from public;

commit;
