-- A superuser bypasses row-level security, forced or not: a test of behaviour starts by becoming
-- somebody, and each of these is an assertion that it worked.
create function tests.as_role(role name, tenant_id uuid)
returns text
language plpgsql
as $function$
begin
  perform pg_catalog.set_config('role', as_role.role, true);
  -- Not set_tenant: not every role may call it, and a test may want no tenant at all.
  perform pg_catalog.set_config(
    'integrations.tenant_id', coalesce(as_role.tenant_id::text, ''), true);

  return public.is(
    current_user::text, as_role.role::text,
    pg_catalog.concat_ws(' of ', 'from here on ' || as_role.role, 'tenant ' || as_role.tenant_id));
end;
$function$;

comment on function tests.as_role(name, uuid) is
$$Acts as a role and a tenant (NULL: none) from here on; an assertion about current_user.$$;

create function tests.as_tenant(tenant_id uuid)
returns text
language sql
as $function$
select tests.as_role('integrations_tenant', as_tenant.tenant_id);
$function$;

comment on function tests.as_tenant(uuid) is
$$Acts as the application of a tenant from here on; one assertion.$$;

create function tests.as_service(tenant_id uuid)
returns text
language sql
as $function$
select tests.as_role('svc_integration', as_service.tenant_id);
$function$;

comment on function tests.as_service(uuid) is
$$Acts as the service, for a tenant, from here on; one assertion.$$;

create function tests.as_admin(tenant_id uuid default null)
returns text
language sql
as $function$
select tests.as_role('integrations_admin', as_admin.tenant_id);
$function$;

comment on function tests.as_admin(uuid) is
$$Acts as an administrator from here on; one assertion.$$;

create function tests.as_auditor()
returns text
language sql
as $function$
select tests.as_role('integrations_auditor', null);
$function$;

comment on function tests.as_auditor() is
$$Acts as an auditor from here on; one assertion.$$;

create function tests.as_owner(tenant_id uuid default null)
returns text
language sql
as $function$
select tests.as_role('integrations_owner', as_owner.tenant_id);
$function$;

comment on function tests.as_owner(uuid) is
$$Acts as the owner, as the inner functions do, from here on; one assertion.$$;

create function tests.as_keymaster()
returns text
language sql
as $function$
select tests.as_role('integrations_keymaster', null);
$function$;

comment on function tests.as_keymaster() is
$$Acts as the owner of the cross-tenant functions from here on; one assertion.$$;

create function tests.as_superuser()
returns text
language plpgsql
as $function$
begin
  perform pg_catalog.set_config('role', 'none', true);

  return public.ok(
    (select r.rolsuper from pg_catalog.pg_roles as r where r.rolname = current_user),
    'from here on a superuser');
end;
$function$;

comment on function tests.as_superuser() is
$$Acts as the superuser of the session from here on, whom row-level security does not hold.$$;

grant execute on all functions in schema tests
to integrations_admin,
   integrations_auditor,
   integrations_keymaster,
   integrations_owner,
   integrations_tenant,
   svc_integration;
