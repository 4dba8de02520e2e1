-- Deploy integrations:functions/compile_schema to pg
-- requires: functions/numbers_are_short
-- requires: functions/pointer_token
-- requires: functions/keyword_problem
-- requires: functions/find_reference
-- requires: functions/find_loop
-- requires: functions/translate_pattern

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Everything is checked and decided here, once: each schema within the schema gets a number,
-- references become numbers, patterns are translated, keywords are sorted by the type that they
-- are about. Schemas wait in a queue, so that no nesting is too deep.
create function integrations_private.compile_schema(schema jsonb, name text)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  -- Keywords whose value is a schema, an array of schemas, or an object of schemas.
  v_one constant text[] := array[
    'not', 'if', 'then', 'else', 'items', 'contains', 'additionalProperties', 'propertyNames',
    'contentSchema'];
  v_many constant text[] := array['allOf', 'anyOf', 'oneOf', 'prefixItems'];
  v_named constant text[] := array[
    'properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions'];
  -- Those whose schemas look at the same value as the keyword.
  v_in_place constant text[] := array[
    '$ref', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'dependentSchemas'];
  v_too_complex constant text := 'the patterns up to here are too complex together';

  v_schemas jsonb[] := array[schema];        -- compiled, or yet to be
  v_pointers text[] := array[''];            -- where each of them stands
  v_origins text[] := array['false'];        -- under which keyword it was found
  -- The numbers of those that a reference found before the schemas around them were read.
  v_referred jsonb := pg_catalog.jsonb_build_object();
  v_rules jsonb[] := array[]::jsonb[];
  v_edges jsonb[] := array[]::jsonb[];       -- for each, those that look at the same value
  v_n integer := 0;
  v_rule jsonb;
  v_targets integer[];                       -- of the schema at hand
  v_entries jsonb[];                         -- of the keyword at hand
  v_keyword text;
  v_content jsonb;
  v_compiled jsonb;
  v_group text;
  v_reference record;
  v_pointer text;
  v_target jsonb;
  v_pattern record;
  v_reading integer := 0;                    -- what the engine needs to read the patterns, in steps
  v_sub record;
  v_place integer;
  v_at text := '';
  v_problem text;
begin
  if not integrations_private.numbers_are_short(schema)
     or pg_catalog.octet_length(schema::text) > 65536
  then
    v_problem := 'it has more than 64 KiB';
  elsif schema @? '$.**{101}' then
    v_problem := 'it is nested over 100 levels';
  end if;

  <<schemas>>
  while v_problem is null and v_n < pg_catalog.cardinality(v_schemas) loop
    v_n := v_n + 1;
    v_at := v_pointers[v_n];
    v_rule := '{}';
    v_targets := array[]::integer[];

    if v_schemas[v_n] = 'false' then
      v_rule := pg_catalog.jsonb_build_object('false', v_origins[v_n]);
    elsif pg_catalog.jsonb_typeof(v_schemas[v_n]) not in ('object', 'boolean') then
      v_problem := 'a schema must be an object, true or false';
      exit schemas;
    end if;

    for v_keyword, v_content in
      select e.key, e.value
        from pg_catalog.jsonb_each(
               case pg_catalog.jsonb_typeof(v_schemas[v_n])
                 when 'object' then v_schemas[v_n]
               end) as e
    loop
      v_at := v_pointers[v_n] || integrations_private.pointer_token(v_keyword);
      v_problem := integrations_private.keyword_problem(v_keyword, v_content, v_n = 1);
      exit schemas when v_problem is not null;

      v_pointer := null;
      v_compiled := v_content;
      if v_keyword = '$ref' then
        v_reference := integrations_private.find_reference(v_content #>> '{}', schema);
        v_problem := v_reference.refusal;
        v_pointer := v_reference.pointer;
        v_target := v_reference.target;
      elsif v_keyword = 'pattern' then
        v_pattern := integrations_private.translate_pattern(v_content #>> '{}');
        v_reading := v_reading + v_pattern.start_cost;
        v_problem := case when v_reading > 100000 then v_too_complex else v_pattern.refusal end;
        v_compiled := pg_catalog.jsonb_build_array(
          v_pattern.translated, v_pattern.start_cost, v_pattern.length_cost);
      elsif v_keyword = 'type' and pg_catalog.jsonb_typeof(v_content) = 'string' then
        v_compiled := pg_catalog.jsonb_build_array(v_content);
      elsif v_keyword = 'dependentRequired' then
        select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(e.key, e.value)), '[]')
          into v_compiled
          from pg_catalog.jsonb_each(v_content) as e;
      end if;
      exit schemas when v_problem is not null;

      if v_keyword = '$ref' or v_keyword = any (v_one || v_many || v_named) then
        v_entries := array[]::jsonb[];
        for v_sub in
          select null as name, '' as token, v_pointer as pointer, v_target as schema
           where v_pointer is not null
          union all
          select null, '', v_at, v_content
           where v_keyword = any (v_one)
          union all
          select null, '', v_at || '/' || (e.position - 1), e.schema
            from pg_catalog.jsonb_array_elements(
                   case when v_keyword = any (v_many) then v_content end)
                 with ordinality as e (schema, position)
          union all
          select e.name, t.token, v_at || t.token, e.schema
            from pg_catalog.jsonb_each(case when v_keyword = any (v_named) then v_content end)
                   as e (name, schema)
                 cross join integrations_private.pointer_token(e.name) as t (token)
        loop
          v_place := (v_referred ->> v_sub.pointer)::integer;
          if v_place is null and v_keyword = '$ref' then
            v_place := pg_catalog.array_position(v_pointers, v_sub.pointer) - 1;
          end if;
          if v_place is null then
            v_place := pg_catalog.cardinality(v_schemas);
            v_schemas[v_place + 1] := v_sub.schema;
            v_pointers[v_place + 1] := v_sub.pointer;
            v_origins[v_place + 1] := v_keyword;
            if v_keyword = '$ref' then
              v_referred := v_referred || pg_catalog.jsonb_build_object(v_sub.pointer, v_place);
            end if;
          end if;

          if v_keyword = any (v_in_place) then
            v_targets[pg_catalog.cardinality(v_targets) + 1] := v_place;
          end if;

          if v_keyword = 'patternProperties' then
            v_at := v_sub.pointer;
            v_pattern := integrations_private.translate_pattern(v_sub.name);
            v_reading := v_reading + v_pattern.start_cost;
            v_problem := case when v_reading > 100000 then v_too_complex else v_pattern.refusal end;
            exit schemas when v_problem is not null;
            v_entries[pg_catalog.cardinality(v_entries) + 1] := pg_catalog.jsonb_build_array(
              v_pattern.translated, v_pattern.start_cost, v_pattern.length_cost, v_place);
          elsif v_sub.name is not null then
            v_entries[pg_catalog.cardinality(v_entries) + 1] :=
              pg_catalog.jsonb_build_array(v_sub.name, v_sub.token, v_place);
          else
            v_entries[pg_catalog.cardinality(v_entries) + 1] := pg_catalog.to_jsonb(v_place);
          end if;
        end loop;

        v_compiled := case
          when v_keyword = any (v_many || v_named) then pg_catalog.to_jsonb(v_entries)
          else v_entries[1]
        end;
      end if;

      -- What a keyword is about: a type by the name that jsonb_typeof has for it, or any value.
      v_group := case
        when v_keyword in ('type', 'enum', 'const') then 'itself'
        when v_keyword in ('minLength', 'maxLength', 'pattern') then 'string'
        when v_keyword in ('multipleOf', 'minimum', 'maximum', 'exclusiveMinimum',
                           'exclusiveMaximum') then 'number'
        when v_keyword in ('items', 'prefixItems', 'contains', 'minContains', 'maxContains',
                           'minItems', 'maxItems', 'uniqueItems') then 'array'
        when v_keyword in ('properties', 'patternProperties', 'additionalProperties',
                           'propertyNames', 'required', 'dependentRequired', 'dependentSchemas',
                           'minProperties', 'maxProperties') then 'object'
        when v_keyword in ('$ref', 'allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else')
          then 'logic'
      end;
      if v_group = 'itself' then
        v_rule := v_rule || pg_catalog.jsonb_build_object(v_keyword, v_compiled);
      elsif v_group is not null then
        v_rule := v_rule || pg_catalog.jsonb_build_object(
          v_group,
          coalesce(v_rule -> v_group, '{}')
          || pg_catalog.jsonb_build_object(v_keyword, v_compiled)
          || case
               when v_keyword = 'additionalProperties' then
                 pg_catalog.jsonb_build_object(
                   'named',
                   array(
                     select pg_catalog.jsonb_object_keys(v_schemas[v_n] -> 'properties'))::text)
               else '{}'
             end);
      end if;
    end loop;

    v_rules[v_n] := v_rule;
    v_edges[v_n] := pg_catalog.to_jsonb(v_targets);
  end loop;

  if v_problem is null then
    v_place := integrations_private.find_loop(v_edges);
    if v_place is not null then
      v_at := v_pointers[v_place];
      v_problem := 'it refers to itself without end';
    end if;
  end if;

  if v_problem is not null then
    raise exception 'schema is invalid or not supported'
      using errcode = 'IN105',
            detail = pg_catalog.format(
              '%s, pointer %s: %s.', compile_schema.name, pg_catalog.to_json(v_at), v_problem),
            hint = 'JSON Schema, draft 2020-12, with the keywords and limits of docs/schemas.md.';
  end if;

  return pg_catalog.to_jsonb(v_rules);
end;
$function$;

alter function integrations_private.compile_schema(jsonb, text) owner to integrations_owner;

comment on function integrations_private.compile_schema(jsonb, text) is
$$The form of a JSON Schema that evaluate_schema reads: an array of rules, the whole schema
first. name says in errors which schema it is. Errors: IN105 invalid or not supported, with its
path.$$;

revoke all on function integrations_private.compile_schema(jsonb, text) from public;

commit;
