-- Rows come from the package's own functions, so that no test rests on a state that cannot be. The
-- fixtures are definer functions of a superuser: any role may make them, for any tenant, and they
-- leave the tenant and the keyring of the transaction as they were.

create function tests.tenant_a()
returns uuid
language sql
immutable
as $function$
select 'aaaaaaaa-0000-4000-8000-00000000000a'::uuid;
$function$;

comment on function tests.tenant_a() is
$$One tenant.$$;

create function tests.tenant_b()
returns uuid
language sql
immutable
as $function$
select 'bbbbbbbb-0000-4000-8000-00000000000b'::uuid;
$function$;

comment on function tests.tenant_b() is
$$The other tenant.$$;

create function tests.nobody()
returns uuid
language sql
immutable
as $function$
select 'ffffffff-0000-4000-8000-00000000000f'::uuid;
$function$;

comment on function tests.nobody() is
$$An id that nothing has.$$;

create function tests.kek(number integer default 1)
returns bytea
language sql
immutable
as $function$
select pg_catalog.sha256(pg_catalog.convert_to('kek ' || kek.number, 'UTF8'));
$function$;

comment on function tests.kek(integer) is
$$A key-encryption key, 32 bytes; kek-1, kek-2 and so on name them.$$;

create function tests.a_definition(
  name text default 'Salesforce',
  status integrations.integration_definition_status default 'published',
  version text default '1.0.0'
)
returns uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_id uuid;
begin
  v_id := integrations.register_definition(a_definition.name, 'oauth2', a_definition.version);
  if a_definition.status <> 'draft' then
    perform integrations.set_definition_status(v_id, a_definition.status);
  end if;
  return v_id;
end;
$function$;

comment on function tests.a_definition(text, integrations.integration_definition_status, text) is
$$A connector in the given status.$$;

create function tests.definition_id(name text, version text default '1.0.0')
returns uuid
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
select d.id
  from integrations.integration_definitions as d
 where d.name = definition_id.name
   and d.version = definition_id.version;
$function$;

comment on function tests.definition_id(text, text) is
$$The id of a connector.$$;

create function tests.a_key(tenant_id uuid, kek integer default 1)
returns uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_tenant constant text := current_setting('integrations.tenant_id', true);
  v_id uuid;
begin
  perform integrations.set_tenant(a_key.tenant_id);
  v_id := integrations.create_tenant_key('kek-' || a_key.kek, tests.kek(a_key.kek));
  perform set_config('integrations.tenant_id', coalesce(v_tenant, ''), true);
  return v_id;
end;
$function$;

comment on function tests.a_key(uuid, integer) is
$$A new active data key of a tenant.$$;

create function tests.an_instance(
  tenant_id uuid,
  name text default 'crm',
  status integrations.integration_instance_status default 'pending',
  credentials text default '{"token": "t0"}'
)
returns uuid
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_tenant constant text := current_setting('integrations.tenant_id', true);
  v_keyring constant text := current_setting('integrations.keyring', true);
  v_definition_id constant uuid :=
    coalesce(tests.definition_id('Salesforce'), tests.a_definition('Salesforce'));
  v_id uuid;
begin
  perform integrations.set_tenant(an_instance.tenant_id);
  v_id := integrations.create_instance(v_definition_id, an_instance.name);

  if an_instance.status <> 'pending' then
    if not exists (select
                     from integrations_private.tenant_keys as k
                    where k.tenant_id = an_instance.tenant_id)
    then
      perform tests.a_key(an_instance.tenant_id);
    end if;
    perform integrations.unlock('kek-1', tests.kek());
    perform integrations.put_credentials(v_id, an_instance.credentials);
  end if;

  if an_instance.status = 'error' then
    perform integrations.record_connection(v_id, false, 'refused');
  elsif an_instance.status in ('disabled', 'revoked') then
    perform integrations.set_instance_status(v_id, an_instance.status);
  end if;

  perform set_config('integrations.keyring', coalesce(v_keyring, ''), true);
  perform set_config('integrations.tenant_id', coalesce(v_tenant, ''), true);
  return v_id;
end;
$function$;

comment on function tests.an_instance(
  uuid, text, integrations.integration_instance_status, text
) is
$$An installation of Salesforce 1.0.0 that came to its status as any other does: all but a pending
one had credentials, under a key of kek-1.$$;

create function tests.instance_id(tenant_id uuid, name text default 'crm')
returns uuid
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
select i.id
  from integrations.integration_instances as i
 where i.tenant_id = instance_id.tenant_id
   and i.name = instance_id.name;
$function$;

comment on function tests.instance_id(uuid, text) is
$$The id of an installation.$$;

create function tests.instance(tenant_id uuid, name text default 'crm')
returns integrations.integration_instances
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
select i
  from integrations.integration_instances as i
 where i.tenant_id = instance.tenant_id
   and i.name = instance.name;
$function$;

comment on function tests.instance(uuid, text) is
$$The whole row of an installation, whoever asks.$$;

create function tests.lease(tenant_id uuid, name text default 'crm')
returns integrations_private.refresh_leases
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
select l
  from integrations_private.refresh_leases as l
 where l.tenant_id = lease.tenant_id
   and l.instance_id = tests.instance_id(lease.tenant_id, lease.name);
$function$;

comment on function tests.lease(uuid, text) is
$$The whole row of the lease of an installation, whoever asks.$$;

create function tests.active_key(tenant_id uuid)
returns integrations_private.tenant_keys
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
select k
  from integrations_private.tenant_keys as k
 where k.tenant_id = active_key.tenant_id
   and k.state = 'active';
$function$;

comment on function tests.active_key(uuid) is
$$The whole row of the active data key of a tenant, whoever asks.$$;

create function tests.data_key(tenant_id uuid)
returns bytea
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_key constant integrations_private.tenant_keys := tests.active_key(data_key.tenant_id);
begin
  return integrations_private.decrypt_bytes(
    v_key.wrapped,
    integrations_private.wrapping_passphrase(data_key.tenant_id, v_key.id, tests.kek()));
end;
$function$;

comment on function tests.data_key(uuid) is
$$The bytes of a tenant's active data key under kek-1: what nobody else ever gets to see.$$;

create function tests.audited(tenant_id uuid, event text)
returns setof integrations_private.audit_log
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
select a.*
  from integrations_private.audit_log as a
 where a.tenant_id = audited.tenant_id
   and a.event = audited.event
 order by a.at;
$function$;

comment on function tests.audited(uuid, text) is
$$The audit entries of a tenant about one event, whoever asks.$$;

grant execute on all functions in schema tests
to integrations_admin,
   integrations_auditor,
   integrations_keymaster,
   integrations_owner,
   integrations_tenant,
   svc_integration;
