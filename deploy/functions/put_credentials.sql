-- Deploy integrations:functions/put_credentials to pg
-- requires: functions/parse_credentials
-- requires: functions/credentials_expire_at
-- requires: functions/lock_instance
-- requires: functions/require_usable
-- requires: functions/schema_violation
-- requires: functions/lock_active_key
-- requires: functions/opened_key
-- requires: functions/seal_credentials
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Text, not jsonb: a malformed jsonb argument would be quoted in an error before this function
-- ran. Everything is checked and encrypted before the table is touched.
create function integrations.put_credentials(
  instance_id uuid,
  credentials text,
  expected_version integer default null
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
  v_instance integrations.integration_instances;
  v_key integrations_private.tenant_keys;
  v_data_key bytea;
  v_document jsonb;
  v_expire_at timestamptz;
  v_violation text;
  v_version integer;
  v_envelope jsonb;
begin
  v_document := integrations_private.parse_credentials(put_credentials.credentials);
  v_expire_at := integrations_private.credentials_expire_at(v_document);

  v_instance := integrations_private.lock_instance(put_credentials.instance_id);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);

  if expected_version <> v_instance.credentials_version then
    raise exception 'credentials have another version'
      using errcode = 'IN306',
            detail = pg_catalog.format('Instance %s has version %s.',
                                       v_instance.id, v_instance.credentials_version),
            hint = 'Somebody stored credentials in the meantime. Read them again.';
  end if;

  v_violation := integrations_private.schema_violation(
    v_instance.integration_id, 'credentials', v_document);
  if v_violation is not null then
    raise exception 'credentials do not fit the schema of the definition'
      using errcode = 'IN204', detail = v_violation,
            hint = 'The schema is credentials_schema of the definition.';
  end if;

  v_key := integrations_private.lock_active_key(v_instance.tenant_id);
  if v_key.id is null
     and pg_catalog.left(pg_catalog.current_setting('integrations.keyring', true), 36)
         is distinct from v_instance.tenant_id::text
  then
    raise exception 'credentials are locked'
      using errcode = 'IN302',
            hint = 'Call integrations.unlock(...) in this transaction, after set_tenant.';
  end if;
  v_data_key := integrations_private.opened_key(
    v_instance.tenant_id, v_key.id, v_key.state, v_key.check_value);

  v_version := v_instance.credentials_version + 1;
  v_envelope := integrations_private.seal_credentials(
    v_instance.tenant_id, v_instance.id, v_key.id, v_version, v_data_key,
    put_credentials.credentials);

  update integrations.integration_instances as i
     set credentials = v_envelope,
         credentials_version = v_version,
         credentials_expire_at = v_expire_at,
         status = 'active',
         status_reason = null,
         updated_at = v_now
   where i.tenant_id = v_instance.tenant_id
     and i.id = v_instance.id;

  perform integrations_private.write_audit(
    v_instance.tenant_id, v_instance.id, 'credentials_stored',
    pg_catalog.jsonb_build_object('version', v_version, 'key', v_key.id));

  return v_version;
end;
$function$;

alter function integrations.put_credentials(uuid, text, integer) owner to integrations_owner;

comment on function integrations.put_credentials(uuid, text, integer) is
$$Stores the credentials of an instance, a JSON object as text, encrypted under the tenant's active
key, and returns their version. A pending instance, or one in error, becomes active. With
expected_version it refuses to overwrite any other version.
Callable by svc_integration. Errors: 22023 null, IN001 no tenant, IN201 not found, IN202 disabled
or revoked, IN204 they do not fit the definition's schema, IN302 locked, IN303 wrong key, IN305 not
a JSON object or over 64 KiB, IN306 another version, IN307 no active key.$$;

revoke all on function integrations.put_credentials(uuid, text, integer) from public;
grant execute on function integrations.put_credentials(uuid, text, integer) to svc_integration;

commit;
