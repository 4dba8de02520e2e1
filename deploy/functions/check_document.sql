-- Deploy integrations:functions/check_document to pg
-- requires: tables/integration_definitions
-- requires: tables/compiled_schemas
-- requires: functions/compile_schema
-- requires: functions/evaluate_schema

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Returns what it was given, so that the caller can check credentials by an assignment: PERFORM is
-- a query, and its plan would show them. A definition that came into the table by hand is compiled
-- here. Messages of class 54 and of the engine of patterns hold no value.
create function integrations_private.check_document(
  integration_id uuid,
  kind text,
  document jsonb
)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_schema jsonb;
  v_rules jsonb;
  v_found record;
  v_detail text;
begin
  select s.schema, c.rules
    into v_schema, v_rules
    from integrations.integration_definitions as d
         cross join lateral (
           select case check_document.kind
                    when 'credentials' then d.credentials_schema
                    else d.config_schema
                  end
         ) as s (schema)
         left join integrations_private.compiled_schemas as c
           on c.definition_id = d.id and c.kind = check_document.kind and c.schema = s.schema
   where d.id = check_document.integration_id;

  if v_schema = '{}' then
    return check_document.document;
  end if;

  if v_rules is null then
    v_rules := integrations_private.compile_schema(v_schema, check_document.kind || '_schema');
  end if;

  begin
    v_found := integrations_private.evaluate_schema(v_rules, 0, check_document.document, 0, 100000);
    if v_found.keyword is null then
      return check_document.document;
    end if;
    v_detail :=
      pg_catalog.format(
        'Pointer %s, keyword %s', pg_catalog.to_json(v_found.pointer),
        pg_catalog.to_json(v_found.keyword))
      || coalesce(': ' || pg_catalog.to_json(v_found.missing) || ' is missing', '') || '.';
  exception when program_limit_exceeded or invalid_regular_expression then
    v_detail := pg_catalog.format('It could not be checked: %s.', sqlerrm);
  end;

  if check_document.kind = 'credentials' then
    raise exception 'credentials do not fit the schema of the definition'
      using errcode = 'IN204', detail = v_detail,
            hint = 'The schema is credentials_schema of the instance''s definition.';
  end if;
  raise exception 'config does not fit the schema of the definition'
    using errcode = 'IN203', detail = v_detail,
          hint = 'The schema is config_schema of the instance''s definition.';
end;
$function$;

alter function integrations_private.check_document(uuid, text, jsonb)
owner to integrations_owner;

comment on function integrations_private.check_document(uuid, text, jsonb) is
$$Returns a document that fits a schema of a definition: kind is credentials or config. Errors:
IN203 config does not fit, IN204 credentials do not fit, with pointer and keyword.$$;

revoke all on function integrations_private.check_document(uuid, text, jsonb) from public;

commit;
