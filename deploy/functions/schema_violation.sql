-- Deploy integrations:functions/schema_violation to pg
-- requires: tables/integration_definitions
-- requires: tables/compiled_schemas
-- requires: functions/compile_schema
-- requires: functions/evaluate_schema

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- A definition that came into the table by hand is compiled here. Messages of class 54, of the
-- engine of patterns and of compile_schema hold no value.
create function integrations_private.schema_violation(
  integration_id uuid,
  kind text,
  document jsonb
)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_schema jsonb;
  v_rules jsonb;
  v_found record;
begin
  -- The empty path takes the value out of its compression, once and not at each use.
  select s.schema, c.rules #> '{}'
    into v_schema, v_rules
    from integrations.integration_definitions as d
         cross join lateral (
           select case schema_violation.kind
                    when 'credentials' then d.credentials_schema
                    else d.config_schema
                  end
         ) as s (schema)
         left join integrations_private.compiled_schemas as c
           on c.definition_id = d.id and c.kind = schema_violation.kind and c.schema = s.schema
   where d.id = schema_violation.integration_id;

  if v_schema = '{}' then
    return null;
  end if;

  begin
    if v_rules is null then
      v_rules := integrations_private.compile_schema(v_schema, schema_violation.kind || '_schema');
    end if;
    v_found := integrations_private.evaluate_schema(
      v_rules, 0, schema_violation.document, 0, 100000);
  exception
    when sqlstate 'IN105' or program_limit_exceeded or invalid_regular_expression then
      return pg_catalog.format('It could not be checked: %s.', sqlerrm);
  end;

  if v_found.keyword is null then
    return null;
  end if;

  return pg_catalog.format(
           'Pointer %s, keyword %s',
           pg_catalog.to_json(v_found.pointer), pg_catalog.to_json(v_found.keyword))
         || coalesce(': ' || pg_catalog.to_json(v_found.missing) || ' is missing', '') || '.';
end;
$function$;

alter function integrations_private.schema_violation(uuid, text, jsonb)
owner to integrations_owner;

comment on function integrations_private.schema_violation(uuid, text, jsonb) is
$$How a document violates a schema of a definition, for the detail of an error: pointer and keyword,
or the limit that it is beyond, and never a value; NULL when it fits. kind is credentials or
config.$$;

revoke all on function integrations_private.schema_violation(uuid, text, jsonb) from public;

commit;
