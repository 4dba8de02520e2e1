-- Deploy integrations:functions/get_credentials to pg
-- requires: tables/integration_instances
-- requires: tables/tenant_keys
-- requires: policies/integration_instances
-- requires: policies/tenant_keys
-- requires: functions/current_tenant
-- requires: functions/require_tenant
-- requires: functions/require_usable
-- requires: functions/opened_key
-- requires: functions/open_credentials
-- requires: tables/audit_log
-- requires: policies/audit_log
-- requires: functions/stamp_last_used

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- The audit row goes if the reader rolls back; the line in the server's log stays. Row and key are
-- read in one statement, so that a rotation between them is not seen as damage.
create function integrations.get_credentials(instance_id uuid)
returns jsonb
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
  v_status integrations.integration_instance_status;
  v_envelope jsonb;
  v_version integer;
  v_key_id uuid;
  v_last_used_at timestamptz;
  v_key_state integrations_private.tenant_key_state;
  v_check_value bytea;
  v_credentials jsonb;
  v_stamped boolean;
begin
  select i.status, i.credentials, i.credentials_version, i.credentials_key_id, i.last_used_at,
         k.state, k.check_value
    into v_status, v_envelope, v_version, v_key_id, v_last_used_at, v_key_state, v_check_value
    from integrations.integration_instances as i
         left join integrations_private.tenant_keys as k
           on k.tenant_id = i.tenant_id and k.id = i.credentials_key_id
   where i.tenant_id = v_tenant_id
     and i.id = get_credentials.instance_id;

  if not found then
    v_tenant_id := integrations_private.require_tenant();
    if get_credentials.instance_id is null then
      raise exception 'instance_id must not be null' using errcode = '22023';
    end if;

    raise exception 'integration instance not found'
      using errcode = 'IN201',
            detail = pg_catalog.format('Instance %s.', get_credentials.instance_id),
            hint = 'Check the instance id and the tenant of the transaction.';
  end if;

  if v_status in ('disabled', 'revoked') then
    perform integrations_private.require_usable(get_credentials.instance_id, v_status);
  end if;

  if v_envelope is null then
    raise exception 'no credentials are stored'
      using errcode = 'IN301', detail = pg_catalog.format('Instance %s.', instance_id);
  end if;

  -- The foreign key forbids it: with its guard off, somebody moved the envelope of another tenant.
  if v_key_state is null then
    raise exception 'integrity check failed'
      using errcode = 'IN304',
            detail = pg_catalog.format('Instance %s, key %s.', instance_id, v_key_id),
            hint = 'The stored envelope was altered or moved. Store the credentials anew.';
  end if;

  v_credentials := integrations_private.open_credentials(
    v_tenant_id, get_credentials.instance_id, v_key_id, v_version,
    integrations_private.opened_key(v_tenant_id, v_key_id, v_key_state, v_check_value),
    v_envelope)::jsonb;

  -- As write_audit does, which would cost a query more.
  insert into integrations_private.audit_log (tenant_id, instance_id, event, detail)
  values
    (v_tenant_id, get_credentials.instance_id, 'credentials_read',
     pg_catalog.jsonb_build_object('version', v_version, 'key', v_key_id));

  if v_last_used_at <= pg_catalog.clock_timestamp() - interval '1 minute' is not false then
    v_stamped := integrations_private.stamp_last_used(v_tenant_id, get_credentials.instance_id);
  end if;

  raise log 'integrations: credentials_read tenant=% instance=% version=% session_user=%',
    v_tenant_id, instance_id, v_version, session_user;

  return v_credentials;
end;
$function$;

alter function integrations.get_credentials(uuid) owner to integrations_owner;

comment on function integrations.get_credentials(uuid) is
$$Returns the credentials of an instance. Leaves an audit entry and a line in the server's log, and
stamps last_used_at at most once a minute, never waiting for another transaction.
Callable by svc_integration. Errors: 22023 null, 25006 read-only transaction, IN001 no tenant,
IN201 not found, IN202 disabled or revoked, IN301 none stored, IN302 locked, IN303 wrong key,
IN304 integrity check failed, IN307 key destroyed, retired or unknown.$$;

revoke all on function integrations.get_credentials(uuid) from public;
grant execute on function integrations.get_credentials(uuid) to svc_integration;

commit;
