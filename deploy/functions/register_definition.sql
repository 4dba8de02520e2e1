-- Deploy integrations:functions/register_definition to pg
-- requires: tables/integration_definitions
-- requires: tables/compiled_schemas
-- requires: functions/compile_schema

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Loads PL/pgSQL: an ordinary deployer may only name a setting that the session knows.
do $load$ begin end $load$;

-- A schema that could not be enforced is refused, not stored and ignored: its compilation fails.
create function integrations.register_definition(
  name text,
  type text,
  version text,
  docs_url text default null,
  description text default null,
  credentials_schema jsonb default '{}',
  config_schema jsonb default '{}'
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
  v_id uuid;
begin
  if register_definition.name is null or register_definition.type is null
     or register_definition.version is null or register_definition.credentials_schema is null
     or register_definition.config_schema is null
  then
    raise exception 'name, type, version and the schemas must not be null' using errcode = '22023';
  end if;

  -- Before the table's own check, which would not say what is wrong.
  perform integrations_private.compile_schema(s.schema, s.name)
     from (
       values ('credentials_schema', register_definition.credentials_schema),
              ('config_schema', register_definition.config_schema)
     ) as s (name, schema)
    where pg_catalog.jsonb_typeof(s.schema) not in ('object', 'boolean');

  insert into integrations.integration_definitions
    (name, type, version, docs_url, description, credentials_schema, config_schema)
  values
    (register_definition.name, register_definition.type, register_definition.version,
     register_definition.docs_url, register_definition.description,
     register_definition.credentials_schema, register_definition.config_schema)
  returning id into v_id;

  -- {} takes every document.
  insert into integrations_private.compiled_schemas (definition_id, kind, schema)
  select v_id, s.kind, s.schema
    from (
      values ('credentials', register_definition.credentials_schema),
             ('config', register_definition.config_schema)
    ) as s (kind, schema)
   where s.schema <> '{}';

  return v_id;
exception when check_violation then
  raise exception 'name, type, version or docs_url is not valid'
    using errcode = '22023',
          hint = 'name: 1 to 200 characters; type: a lower-case identifier such as oauth2;'
                 ' version: semantic, such as 1.0.0; docs_url: an http or https address.';
end;
$function$;

alter function integrations.register_definition(text, text, text, text, text, jsonb, jsonb)
owner to integrations_owner;

comment on function integrations.register_definition(text, text, text, text, text, jsonb, jsonb) is
$$Registers a connector as a draft and returns its id. From here on only its status changes. The
schemas are JSON Schema, draft 2020-12, as docs/schemas.md tells.
Callable by integrations_admin. Errors: 22023 bad argument, 23505 name and version exist, IN105 a
schema is invalid or not supported.$$;

revoke all on function integrations.register_definition(text, text, text, text, text, jsonb, jsonb)
from public;
grant execute on function integrations.register_definition(
  text,
  text,
  text,
  text,
  text,
  jsonb,
  jsonb
)
to integrations_admin;

commit;
