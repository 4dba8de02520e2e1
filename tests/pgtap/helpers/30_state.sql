-- What a refused call must leave alone.
create function tests.state()
returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $function$
select md5(string_agg(r.image, E'\n' order by r.image))
  from (
    select d::text from integrations.integration_definitions as d
    union all
    select i::text from integrations.integration_instances as i
    union all
    select k::text from integrations_private.tenant_keys as k
    union all
    select k::text from integrations_private.key_encryption_keys as k
    union all
    select c::text from integrations_private.compiled_schemas as c
    union all
    select l::text from integrations_private.refresh_leases as l
    union all
    select a::text from integrations_private.audit_log as a
    union all
    select l::text from integrations_private.read_leases as l
  ) as r (image);
$function$;

comment on function tests.state() is
$$A digest of every row of every table.$$;

create function tests.remember()
returns void
language sql
volatile
as $function$
select pg_catalog.set_config('tests.state', coalesce(tests.state(), ''), true);
$function$;

comment on function tests.remember() is
$$Keeps the state of all tables, to be compared by tests.unchanged.$$;

-- Volatile, as its caller must be: a stable function would not see what the test has just done.
create function tests.unchanged(description text)
returns text
language plpgsql
volatile
as $function$
begin
  return public.is(
    coalesce(tests.state(), ''), pg_catalog.current_setting('tests.state'),
    unchanged.description);
end;
$function$;

comment on function tests.unchanged(text) is
$$An assertion: no row of any table differs from when tests.remember was called.$$;

create function tests.error_of(statement text)
returns jsonb
language plpgsql
volatile
as $function$
declare
  v_sqlstate text;
  v_message text;
  v_detail text;
  v_hint text;
  v_context text;
begin
  execute error_of.statement;
  return null;
exception when others then
  get stacked diagnostics
    v_sqlstate = returned_sqlstate,
    v_message = message_text,
    v_detail = pg_exception_detail,
    v_hint = pg_exception_hint,
    v_context = pg_exception_context;
  return pg_catalog.jsonb_build_object(
    'sqlstate', v_sqlstate, 'message', v_message, 'detail', v_detail, 'hint', v_hint,
    'context', v_context);
end;
$function$;

comment on function tests.error_of(text) is
$$The fields of the error that a statement raises, or NULL when it raises none.$$;

-- Not the context: its lines depend on what PL/pgSQL has planned before in the session.
create function tests.answer_about(statement text, id uuid)
returns text
language sql
volatile
as $function$
select pg_catalog.replace(
         (tests.error_of(pg_catalog.format(statement, id)) - 'context')::text, id::text, '?');
$function$;

comment on function tests.answer_about(text, uuid) is
$$The fields of the error that a statement about an id (%L) raises, with the id itself left out.$$;

create function tests.executable_by(signature regprocedure, roles name[])
returns text
language sql
stable
as $function$
select public.is(
  (select pg_catalog.array_agg(g.grantee order by g.grantee)
     from (
       select case when x.grantee = 0 then 'public' else x.grantee::regrole::text end
              || case when x.is_grantable then ' with grant option' else '' end as grantee
         from pg_catalog.pg_proc as p
              cross join pg_catalog.aclexplode(
                coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) as x
        where p.oid = signature
          and x.grantee <> p.proowner
     ) as g),
  (select pg_catalog.array_agg(r::text order by r::text) from pg_catalog.unnest(roles) as r),
  signature::text || ' may be executed by '
    || coalesce(nullif(pg_catalog.array_to_string(roles, ', '), ''), 'nobody')
    || ' beside its owner');
$function$;

comment on function tests.executable_by(regprocedure, name[]) is
$$An assertion: these roles, and no other, not PUBLIC either, have EXECUTE beside the owner.$$;

grant execute on all functions in schema tests
to integrations_admin,
   integrations_auditor,
   integrations_keymaster,
   integrations_owner,
   integrations_tenant,
   svc_integration;
