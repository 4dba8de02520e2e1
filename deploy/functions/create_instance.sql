-- Deploy integrations:functions/create_instance to pg
-- requires: tables/integration_instances
-- requires: tables/integration_definitions
-- requires: functions/require_tenant
-- requires: functions/check_name
-- requires: functions/check_config
-- requires: functions/schema_violation
-- requires: functions/write_audit
-- requires: policies/integration_instances

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- The definition is not locked: an open transaction of a tenant must not hold up an administrator,
-- and an installation may outlive the deprecation of its connector anyway.
create function integrations.create_instance(
  integration_id uuid,
  name text,
  config jsonb default '{}'
)
returns uuid
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
  v_tenant_id constant uuid := integrations_private.require_tenant();
  v_status integrations.integration_definition_status;
  v_violation text;
  v_id uuid;
begin
  if create_instance.integration_id is null then
    raise exception 'integration_id must not be null' using errcode = '22023';
  end if;
  perform integrations_private.check_name(create_instance.name);
  perform integrations_private.check_config(create_instance.config);

  select d.status into v_status
    from integrations.integration_definitions as d
   where d.id = create_instance.integration_id;

  if not found then
    raise exception 'integration definition not found'
      using errcode = 'IN101',
            detail = pg_catalog.format('Definition %s.', create_instance.integration_id);
  end if;

  if v_status <> 'published' then
    raise exception 'integration definition is not published'
      using errcode = 'IN103',
            detail = pg_catalog.format('Definition %s is %s.',
                                       create_instance.integration_id, v_status),
            hint = 'Only a published definition can be installed.';
  end if;

  v_violation := integrations_private.schema_violation(
    create_instance.integration_id, 'config', create_instance.config);
  if v_violation is not null then
    raise exception 'config does not fit the schema of the definition'
      using errcode = 'IN203', detail = v_violation,
            hint = 'The schema is config_schema of the definition.';
  end if;

  insert into integrations.integration_instances (tenant_id, integration_id, name, config)
  values (v_tenant_id, create_instance.integration_id, create_instance.name, create_instance.config)
  returning id into v_id;

  perform integrations_private.write_audit(
    v_tenant_id, v_id, 'instance_created',
    pg_catalog.jsonb_build_object('integration_id', create_instance.integration_id));

  return v_id;
end;
$function$;

alter function integrations.create_instance(uuid, text, jsonb) owner to integrations_owner;

comment on function integrations.create_instance(uuid, text, jsonb) is
$$Installs a published connector for the transaction's tenant and returns the instance's id.
Callable by integrations_tenant, svc_integration. Errors: 22023 bad argument, 23505 the tenant
uses the name already, IN001 no tenant, IN101 definition not found, IN103 not published, IN203
config does not fit.$$;

revoke all on function integrations.create_instance(uuid, text, jsonb) from public;
grant execute on function integrations.create_instance(uuid, text, jsonb)
to integrations_tenant, svc_integration;

commit;
