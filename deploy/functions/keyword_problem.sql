-- Deploy integrations:functions/keyword_problem to pg
-- requires: functions/items_are_unique

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- The meta-schema of draft 2020-12 for one keyword, and what this validator does not do. A keyword
-- that nobody knows is an annotation, as the draft says; one that another draft knows, or that
-- would be enforced elsewhere, is refused rather than ignored.
create function integrations_private.keyword_problem(
  keyword text,
  value jsonb,
  is_root boolean
)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_type constant text := pg_catalog.jsonb_typeof(value);
begin
  case
    when keyword in ('title', 'description', 'format', 'pattern', '$comment', '$ref',
                     'contentEncoding', 'contentMediaType') then
      return case when v_type <> 'string' then 'it must be a string' end;

    when keyword in ('deprecated', 'readOnly', 'writeOnly', 'uniqueItems') then
      return case when v_type <> 'boolean' then 'it must be true or false' end;

    when keyword in ('multipleOf', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum')
    then
      return case
        when v_type <> 'number' then 'it must be a number'
        when pg_catalog.octet_length(value::text) > 1000 then
          'it must be a number of at most 1000 digits'
        when keyword = 'multipleOf' and value::numeric <= 0 then 'it must be greater than 0'
      end;

    when keyword in ('minLength', 'maxLength', 'minItems', 'maxItems', 'minContains',
                     'maxContains', 'minProperties', 'maxProperties') then
      return case
        when v_type <> 'number' then 'it must be an integer from 0 to 2147483647'
        when value::numeric <> pg_catalog.trunc(value::numeric)
             or value::numeric not between 0 and 2147483647
          then 'it must be an integer from 0 to 2147483647'
      end;

    when keyword = 'type' then
      return case
        when v_type not in ('string', 'array') or value = '[]'
             or not value <@ '["array", "boolean", "integer", "null", "number", "object", "string"]'
          then 'it must be array, boolean, integer, null, number, object or string, or several'
        when v_type = 'array' then integrations_private.keyword_problem('required', value, false)
      end;

    when keyword in ('enum', 'examples') then
      return case when v_type <> 'array' then 'it must be an array' end;

    when keyword in ('allOf', 'anyOf', 'oneOf', 'prefixItems') then
      return case
        when v_type <> 'array' or value = '[]' then 'it must be an array of at least one schema'
      end;

    when keyword in ('properties', 'patternProperties', 'dependentSchemas', '$defs', 'definitions')
    then
      return case when v_type <> 'object' then 'it must be an object of schemas' end;

    when keyword = 'required' then
      return case
        when v_type <> 'array' or value @? 'strict $[*] ? (@.type() != "string")'
          then 'it must be an array of strings'
        when not integrations_private.items_are_unique(value) then 'it has a string twice'
      end;

    when keyword = 'dependentRequired' then
      return case
        when v_type <> 'object' then 'it must be an object of arrays of strings'
        else (
          select pg_catalog.min(p.problem)
            from pg_catalog.jsonb_each(value) as e
                 cross join integrations_private.keyword_problem('required', e.value, false)
                   as p (problem))
      end;

    when keyword = '$schema' then
      return case
        when not is_root then 'it belongs to the root of a schema'
        when value not in ('"https://json-schema.org/draft/2020-12/schema"',
                           '"https://json-schema.org/draft/2020-12/schema#"')
          then 'the dialect must be https://json-schema.org/draft/2020-12/schema'
      end;

    when keyword = '$id' then
      return case
        when v_type <> 'string' or value #>> '{}' ~ '#.' then
          'it must be an address without a fragment'
        when not is_root then 'it is supported only at the root of a schema'
      end;

    when keyword = '$anchor' then
      return 'anchors are not supported; refer by JSON pointer';

    when keyword in ('$dynamicRef', '$dynamicAnchor', '$recursiveRef', '$recursiveAnchor',
                     '$vocabulary', 'unevaluatedItems', 'unevaluatedProperties') then
      return 'the keyword is not supported';

    when keyword = 'dependencies' then
      return 'earlier drafts had it; write dependentRequired or dependentSchemas';

    when keyword = 'additionalItems' then
      return 'earlier drafts had it; write prefixItems and items';

    else
      return null;
  end case;
end;
$function$;

alter function integrations_private.keyword_problem(text, jsonb, boolean)
owner to integrations_owner;

comment on function integrations_private.keyword_problem(text, jsonb, boolean) is
$$What is wrong with the value of a keyword of a JSON Schema; NULL when nothing is. Schemas
within it are not looked at.$$;

revoke all on function integrations_private.keyword_problem(text, jsonb, boolean) from public;

commit;
