-- Deploy integrations:functions/upgrade_instance to pg
-- requires: functions/lock_instance
-- requires: functions/require_usable
-- requires: functions/schema_violation
-- requires: functions/opened_key
-- requires: functions/open_credentials
-- requires: functions/write_audit

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- Forward or back: a version that fails may be left again. The instance is locked, so that neither
-- config nor credentials change while they are checked; the definition is not, see
-- create_instance.
create function integrations.upgrade_instance(instance_id uuid, integration_id uuid)
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
  v_instance integrations.integration_instances;
  v_former integrations.integration_definitions;
  v_next integrations.integration_definitions;
  v_key integrations_private.tenant_keys;
  v_violation text;
begin
  if upgrade_instance.integration_id is null then
    raise exception 'integration_id must not be null' using errcode = '22023';
  end if;
  v_instance := integrations_private.lock_instance(upgrade_instance.instance_id);
  perform integrations_private.require_usable(v_instance.id, v_instance.status);

  -- Whoever asks again after a lost answer gets the same one.
  if v_instance.integration_id = upgrade_instance.integration_id then
    return;
  end if;

  select d.* into v_former
    from integrations.integration_definitions as d
   where d.id = v_instance.integration_id;
  select d.* into v_next
    from integrations.integration_definitions as d
   where d.id = upgrade_instance.integration_id;

  if not found then
    raise exception 'integration definition not found'
      using errcode = 'IN101',
            detail = pg_catalog.format('Definition %s.', upgrade_instance.integration_id);
  end if;

  if v_next.name <> v_former.name then
    raise exception 'integration_id must be a version of the same connector'
      using errcode = '22023',
            detail = pg_catalog.format('Definition %s is of another name than %s.',
                                       v_next.id, v_former.id),
            hint = 'An installation of another connector is a new instance.';
  end if;

  if v_next.status <> 'published' then
    raise exception 'integration definition is not published'
      using errcode = 'IN103',
            detail = pg_catalog.format('Definition %s is %s.', v_next.id, v_next.status),
            hint = 'Only a published definition can be installed.';
  end if;

  v_violation := integrations_private.schema_violation(v_next.id, 'config', v_instance.config);
  if v_violation is not null then
    raise exception 'config does not fit the schema of the definition'
      using errcode = 'IN203', detail = v_violation,
            hint = 'The schema is config_schema of the definition.';
  end if;

  -- What fitted the former schema fits the same one again, and {} takes everything.
  if v_instance.credentials is not null
     and v_next.credentials_schema not in ('{}', v_former.credentials_schema)
  then
    select k.* into v_key
      from integrations_private.tenant_keys as k
     where k.tenant_id = v_instance.tenant_id
       and k.id = v_instance.credentials_key_id;
    v_violation := integrations_private.schema_violation(
      v_next.id, 'credentials',
      integrations_private.open_credentials(
        v_instance.tenant_id, v_instance.id, v_key.id, v_instance.credentials_version,
        integrations_private.opened_key(
          v_instance.tenant_id, v_key.id, v_key.state, v_key.check_value),
        v_instance.credentials)::jsonb);
    if v_violation is not null then
      raise exception 'credentials do not fit the schema of the definition'
        using errcode = 'IN204', detail = v_violation,
              hint = 'The schema is credentials_schema of the definition.';
    end if;
  end if;

  update integrations.integration_instances as i
     set integration_id = v_next.id, updated_at = v_now
   where i.tenant_id = v_instance.tenant_id
     and i.id = v_instance.id;

  perform integrations_private.write_audit(
    v_instance.tenant_id, v_instance.id, 'instance_upgraded',
    pg_catalog.jsonb_build_object('from', v_former.id, 'to', v_next.id));
end;
$function$;

alter function integrations.upgrade_instance(uuid, uuid) owner to integrations_owner;

comment on function integrations.upgrade_instance(uuid, uuid) is
$$Moves an instance to another published version of its connector, whose schemas its config and
its stored credentials must fit. Where credentials have to be checked, they must be unlocked. To
the version that it has already it is no move, and no error.
Callable by integrations_tenant, svc_integration. Errors: 22023 null, or another connector,
IN001 no tenant, IN101 definition not found, IN103 not published, IN201 not found, IN202
disabled or revoked, IN203 config does not fit, IN204 credentials do not fit, IN302 locked,
IN303 wrong key, IN304 integrity check failed, IN307 no key.$$;

revoke all on function integrations.upgrade_instance(uuid, uuid) from public;
grant execute on function integrations.upgrade_instance(uuid, uuid)
to integrations_tenant, svc_integration;

commit;
