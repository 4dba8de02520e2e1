-- Deploy integrations:functions/evaluate_schema to pg
-- requires: functions/items_are_unique

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- The document may be credentials: it stands in assignments and expressions only, never in a
-- query, a RAISE, or a cast that could fail and quote it. So objects are walked without
-- jsonb_each. A pointer has no name that only the document has: a customer may have typed a secret
-- there. What must hold waits in a queue; this function calls itself only for what may fail
-- (anyOf, not and so on). Each rule costs steps by its size and its value's, whatever the schema
-- does to repeat it.
create function integrations_private.evaluate_schema(
  rules jsonb,
  rule integer,
  document jsonb,
  depth integer,
  inout steps integer,
  out pointer text,
  out keyword text,
  out missing text
)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  -- Whatever must hold of a part of the document, in the order in which it came up. Below a name
  -- that the schema does not have, the pointer stays where it is.
  v_numbers integer[] := array[rule];
  v_values jsonb[] := array[document];
  v_places integer[] := array[1];            -- which of the values, so that none is there twice
  v_pointers text[] := array[''];
  v_are_named boolean[] := array[true];
  v_known integer := 1;
  v_done integer := 0;

  v_rule jsonb;
  v_value jsonb;
  v_type text;
  v_is_named boolean;
  v_rules jsonb;
  v_list jsonb;
  v_entry jsonb;
  v_part jsonb;
  v_keys jsonb;
  v_matched text[];                          -- names that met a pattern; NULL for the others
  v_text text;
  v_number numeric;
  v_count integer;
  v_matches integer;
  v_probe record;
begin
  if depth > 200 then
    raise exception 'conditions of the schema nest too deeply for this document'
      using errcode = 'program_limit_exceeded';
  end if;

  loop
    -- Here, and not where a rule is done: a condition that fails leaves before that, and a thousand
    -- of them would cost nothing.
    if steps < 0 then
      raise exception 'validation takes too many steps' using errcode = 'program_limit_exceeded';
    end if;
    exit when v_done = v_known;
    v_done := v_done + 1;
    v_rule := rules -> v_numbers[v_done];
    v_value := v_values[v_places[v_done]];
    steps := steps - 1
             - (pg_catalog.pg_column_size(v_rule) + pg_catalog.pg_column_size(v_value)) / 128;
    v_type := pg_catalog.jsonb_typeof(v_value);
    v_is_named := v_are_named[v_done];
    pointer := v_pointers[v_done];

    if v_rule ? 'false' then
      keyword := v_rule ->> 'false';
      return;
    end if;

    v_list := v_rule -> 'type';
    if v_list is not null and not v_list ? v_type then
      v_number := case when v_type = 'number' and v_list ? 'integer' then v_value::numeric end;
      if v_number <> pg_catalog.trunc(v_number) is not false then
        keyword := 'type';
        return;
      end if;
    end if;

    if v_rule ? 'const' and v_rule -> 'const' <> v_value then
      keyword := 'const';
      return;
    end if;

    v_list := v_rule -> 'enum';
    if v_list is not null then
      keyword := 'enum';
      if v_type not in ('object', 'array') then
        keyword := case when v_list @> v_value then null else keyword end;
      else
        for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
          if v_list -> v_i = v_value then
            keyword := null;
            exit;
          end if;
        end loop;
      end if;
      if keyword is not null then
        return;
      end if;
    end if;

    -- What a keyword says of a number or an array, it does not say of a string.
    v_rules := v_rule -> v_type;
    if v_rules is null then
      null;

    elsif v_type = 'string' then
      v_text := v_value #>> '{}';
      v_count := pg_catalog.char_length(v_text);
      v_entry := v_rules -> 'pattern';
      if v_count < (v_rules -> 'minLength')::integer then
        keyword := 'minLength';
      elsif v_count > (v_rules -> 'maxLength')::integer then
        keyword := 'maxLength';
      elsif v_entry is not null then
        steps := steps - (v_entry -> 1)::integer - v_count * (v_entry -> 2)::integer / 1000;
        if v_count > 8192 then
          raise exception 'a string of over 8192 characters meets a pattern'
            using errcode = 'program_limit_exceeded';
        elsif v_text !~ ((v_entry ->> 0) collate pg_catalog."C") then
          keyword := 'pattern';
        end if;
      end if;

    elsif v_type = 'number' then
      v_number := v_value::numeric;
      keyword := case
        when v_number < (v_rules -> 'minimum')::numeric then 'minimum'
        when v_number > (v_rules -> 'maximum')::numeric then 'maximum'
        when v_number <= (v_rules -> 'exclusiveMinimum')::numeric then 'exclusiveMinimum'
        when v_number >= (v_rules -> 'exclusiveMaximum')::numeric then 'exclusiveMaximum'
      end;
      if keyword is null and v_rules ? 'multipleOf' then
        if pg_catalog.abs(v_number) >= 1e1000 or pg_catalog.scale(v_number) > 1000 then
          raise exception 'a number of over 1000 digits meets multipleOf'
            using errcode = 'program_limit_exceeded';
        elsif v_number % (v_rules -> 'multipleOf')::numeric <> 0 then
          keyword := 'multipleOf';
        end if;
      end if;

    elsif v_type = 'array' then
      v_count := pg_catalog.jsonb_array_length(v_value);
      if v_count < (v_rules -> 'minItems')::integer then
        keyword := 'minItems';
      elsif v_count > (v_rules -> 'maxItems')::integer then
        keyword := 'maxItems';
      elsif v_rules -> 'uniqueItems' = 'true' then
        steps := steps - v_count;
        if not integrations_private.items_are_unique(v_value) then
          keyword := 'uniqueItems';
        end if;
      end if;

      if keyword is null and v_rules ? 'contains' then
        v_matches := 0;
        for v_i in 0 .. v_count - 1 loop
          v_probe := integrations_private.evaluate_schema(
            rules, (v_rules -> 'contains')::integer, v_value -> v_i, depth + 1, steps);
          steps := v_probe.steps;
          v_matches := v_matches + (v_probe.keyword is null)::integer;
        end loop;
        keyword := case
          when v_matches < (v_rules -> 'minContains')::integer then 'minContains'
          when v_matches = 0 and not v_rules ? 'minContains' then 'contains'
          when v_matches > (v_rules -> 'maxContains')::integer then 'maxContains'
        end;
      end if;

      if keyword is null and v_rules ?| array['prefixItems', 'items'] then
        v_list := coalesce(v_rules -> 'prefixItems', '[]');
        v_matches := pg_catalog.jsonb_array_length(v_list);
        if v_count > v_matches and rules -> (v_rules -> 'items')::integer ? 'false' then
          keyword := 'items';
          return;
        end if;
        for v_i in 0 .. v_count - 1 loop
          v_entry := case when v_i < v_matches then v_list -> v_i else v_rules -> 'items' end;
          exit when v_entry is null;
          v_known := v_known + 1;
          v_numbers[v_known] := v_entry::integer;
          v_values[v_known] := v_value -> v_i;
          v_places[v_known] := v_known;
          v_pointers[v_known] := case when v_is_named then pointer || '/' || v_i else pointer end;
          v_are_named[v_known] := v_is_named;
        end loop;
      end if;

    else
      v_list := coalesce(v_rules -> 'required', '[]');
      for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
        if not v_value ? (v_list ->> v_i) then
          keyword := 'required';
          missing := v_list ->> v_i;
          return;
        end if;
      end loop;

      if v_rules ?| array['minProperties', 'maxProperties', 'propertyNames', 'patternProperties']
      then
        v_keys := pg_catalog.jsonb_path_query_array(v_value, '$.keyvalue().key');
        v_count := pg_catalog.jsonb_array_length(v_keys);
        if v_count < (v_rules -> 'minProperties')::integer then
          keyword := 'minProperties';
        elsif v_count > (v_rules -> 'maxProperties')::integer then
          keyword := 'maxProperties';
        elsif v_rules ? 'propertyNames' then
          for v_i in 0 .. v_count - 1 loop
            v_probe := integrations_private.evaluate_schema(
              rules, (v_rules -> 'propertyNames')::integer, v_keys -> v_i, depth + 1, steps);
            steps := v_probe.steps;
            if v_probe.keyword is not null then
              keyword := 'propertyNames';
              exit;
            end if;
          end loop;
        end if;
        if keyword is not null then
          return;
        end if;
      end if;

      v_list := coalesce(v_rules -> 'dependentRequired', '[]');
      for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
        if v_value ? (v_list -> v_i ->> 0) then
          v_entry := v_list -> v_i -> 1;
          for v_j in 0 .. pg_catalog.jsonb_array_length(v_entry) - 1 loop
            if not v_value ? (v_entry ->> v_j) then
              keyword := 'dependentRequired';
              missing := v_entry ->> v_j;
              return;
            end if;
          end loop;
        end if;
      end loop;

      v_list := coalesce(v_rules -> 'properties', '[]');
      for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
        v_entry := v_list -> v_i;
        v_part := v_value -> (v_entry ->> 0);
        if v_part is not null then
          v_known := v_known + 1;
          v_numbers[v_known] := (v_entry -> 2)::integer;
          v_values[v_known] := v_part;
          v_places[v_known] := v_known;
          v_pointers[v_known] :=
            case when v_is_named then pointer || (v_entry ->> 1) else pointer end;
          v_are_named[v_known] := v_is_named;
        end if;
      end loop;

      -- What is left over in the end are additional properties.
      v_part := v_value - (v_rules ->> 'named')::text[];

      v_list := coalesce(v_rules -> 'patternProperties', '[]');
      if v_list <> '[]' then
        v_matched := array[]::text[];
        for v_i in 0 .. pg_catalog.jsonb_array_length(v_keys) - 1 loop
          v_text := v_keys ->> v_i;
          v_count := pg_catalog.char_length(v_text);
          if v_count > 8192 then
            raise exception 'a name of over 8192 characters meets a pattern'
              using errcode = 'program_limit_exceeded';
          end if;
          for v_j in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
            v_entry := v_list -> v_j;
            steps := steps - (v_entry -> 1)::integer - v_count * (v_entry -> 2)::integer / 1000;
            exit when steps < 0;
            if v_text ~ ((v_entry ->> 0) collate pg_catalog."C") then
              v_matched[v_i + 1] := v_text;
              v_known := v_known + 1;
              v_numbers[v_known] := (v_entry -> 3)::integer;
              v_values[v_known] := v_value -> v_text;
              steps := steps - pg_catalog.pg_column_size(v_values[v_known]) / 128;
              v_places[v_known] := v_known;
              v_pointers[v_known] := pointer;
              v_are_named[v_known] := false;
            end if;
          end loop;
          exit when steps < 0;
        end loop;
        -- At once: one by one, each would copy what is left.
        v_part := v_part - v_matched;
      end if;

      if v_part <> '{}' then
        v_keys := pg_catalog.jsonb_path_query_array(v_part, '$.keyvalue().key');
        for v_i in 0 .. pg_catalog.jsonb_array_length(v_keys) - 1 loop
          v_known := v_known + 1;
          v_numbers[v_known] := (v_rules -> 'additionalProperties')::integer;
          v_values[v_known] := v_part -> (v_keys ->> v_i);
          v_places[v_known] := v_known;
          v_pointers[v_known] := pointer;
          v_are_named[v_known] := false;
        end loop;
      end if;

      v_list := coalesce(v_rules -> 'dependentSchemas', '[]');
      for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
        v_entry := v_list -> v_i;
        if v_value ? (v_entry ->> 0) then
          v_known := v_known + 1;
          v_numbers[v_known] := (v_entry -> 2)::integer;
          v_places[v_known] := v_places[v_done];
          v_pointers[v_known] := pointer;
          v_are_named[v_known] := v_is_named;
        end if;
      end loop;
    end if;

    if keyword is not null then
      return;
    end if;

    v_rules := v_rule -> 'logic';
    if v_rules is not null then
      if v_rules ? 'not' then
        v_probe := integrations_private.evaluate_schema(
          rules, (v_rules -> 'not')::integer, v_value, depth + 1, steps);
        steps := v_probe.steps;
        if v_probe.keyword is null then
          keyword := 'not';
          return;
        end if;
      end if;

      if v_rules ? 'anyOf' then
        v_list := v_rules -> 'anyOf';
        for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
          v_probe := integrations_private.evaluate_schema(
            rules, (v_list -> v_i)::integer, v_value, depth + 1, steps);
          steps := v_probe.steps;
          exit when v_probe.keyword is null;
        end loop;
        if v_probe.keyword is not null then
          keyword := 'anyOf';
          return;
        end if;
      end if;

      if v_rules ? 'oneOf' then
        v_list := v_rules -> 'oneOf';
        v_matches := 0;
        for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
          v_probe := integrations_private.evaluate_schema(
            rules, (v_list -> v_i)::integer, v_value, depth + 1, steps);
          steps := v_probe.steps;
          v_matches := v_matches + (v_probe.keyword is null)::integer;
        end loop;
        if v_matches <> 1 then
          keyword := 'oneOf';
          return;
        end if;
      end if;

      v_list := coalesce(v_rules -> 'allOf', '[]');
      if v_rules ? '$ref' then
        v_list := v_list || (v_rules -> '$ref');
      end if;
      if v_rules ?| array['then', 'else'] and v_rules ? 'if' then
        v_probe := integrations_private.evaluate_schema(
          rules, (v_rules -> 'if')::integer, v_value, depth + 1, steps);
        steps := v_probe.steps;
        v_entry := v_rules -> case when v_probe.keyword is null then 'then' else 'else' end;
        v_list := v_list || coalesce(v_entry, '[]');
      end if;
      for v_i in 0 .. pg_catalog.jsonb_array_length(v_list) - 1 loop
        v_known := v_known + 1;
        v_numbers[v_known] := (v_list -> v_i)::integer;
        v_places[v_known] := v_places[v_done];
        v_pointers[v_known] := pointer;
        v_are_named[v_known] := v_is_named;
      end loop;
    end if;
  end loop;

  pointer := null;
end;
$function$;

alter function integrations_private.evaluate_schema(jsonb, integer, jsonb, integer, integer)
owner to integrations_owner;

comment on function integrations_private.evaluate_schema(jsonb, integer, jsonb, integer, integer) is
$$The first violation of a compiled JSON Schema: where, which keyword, and the property that is
missing if it is that; a NULL keyword when the document fits. steps counts down. Errors: 54000
beyond a limit.$$;

revoke all on function integrations_private.evaluate_schema(jsonb, integer, jsonb, integer, integer)
from public;

commit;
