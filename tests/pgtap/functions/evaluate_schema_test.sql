-- Tests functions/evaluate_schema.
begin;
select plan(58);

select has_function(
  'integrations_private', 'evaluate_schema',
  array['jsonb', 'integer', 'jsonb', 'integer', 'integer']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.evaluate_schema(jsonb,integer,jsonb,integer,integer)'::regprocedure
  ),
  'rules jsonb, rule integer, document jsonb, depth integer, INOUT steps integer, '
    || 'OUT pointer text, OUT keyword text, OUT missing text',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'evaluate_schema',
  array['jsonb', 'integer', 'jsonb', 'integer', 'integer'],
  'record'
);
select function_lang_is(
  'integrations_private', 'evaluate_schema',
  array['jsonb', 'integer', 'jsonb', 'integer', 'integer'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'evaluate_schema',
  array['jsonb', 'integer', 'jsonb', 'integer', 'integer'],
  'immutable'
);
select isnt_definer(
  'integrations_private', 'evaluate_schema',
  array['jsonb', 'integer', 'jsonb', 'integer', 'integer']
);
select function_owner_is(
  'integrations_private', 'evaluate_schema',
  array['jsonb', 'integer', 'jsonb', 'integer', 'integer'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.evaluate_schema(jsonb,integer,jsonb,integer,integer)',
  array[]::name[]
);

select tests.as_owner();
select results_eq(
  pg_catalog.format(
    $$
      select pointer, keyword, missing
        from integrations_private.evaluate_schema(
               integrations_private.compile_schema(%L, 'config_schema'), 0, %L, 0, 1000)
    $$,
    v.schema, v.instance),
  pg_catalog.format('values (%L::text, %L::text, %L::text)', v.pointer, v.keyword, v.missing),
  v.instance || ' meets ' || v.schema)
from (
  values ('{"type": "object"}', '{}', null, null, null),
         ('{"type": "object"}', '[]', '', 'type', null),
         ('{"type": ["integer", "null"]}', '1.0', null, null, null),
         ('{"type": ["integer", "null"]}', '1.5', '', 'type', null),
         ('false', '1', '', 'false', null),
         ('{"const": {"a": 1}}', '{"a": 1.0}', null, null, null),
         ('{"const": 1}', 'true', '', 'const', null),
         ('{"enum": [1, [2], null]}', '[2.0]', null, null, null),
         ('{"enum": [1, [2], null]}', '2', '', 'enum', null),
         ('{"minLength": 2}', '"é"', '', 'minLength', null),
         ('{"maxLength": 1}', '"😀"', null, null, null),
         ('{"pattern": "^\\d+$"}', '"12٣"', '', 'pattern', null),
         ('{"minimum": 1, "exclusiveMaximum": 2}', '2', '', 'exclusiveMaximum', null),
         ('{"multipleOf": 0.01}', '19.99', null, null, null),
         ('{"multipleOf": 0.01}', '19.999', '', 'multipleOf', null),
         ('{"required": ["a", "b"]}', '{"a": null}', '', 'required', 'b'),
         ('{"dependentRequired": {"a": ["b"]}}', '{"a": 1}', '', 'dependentRequired', 'b'),
         ('{"dependentSchemas": {"a": {"required": ["c"]}}}', '{"a": 1}', '', 'required', 'c'),
         ('{"maxProperties": 1}', '{"a": 1, "b": 2}', '', 'maxProperties', null),
         ('{"minProperties": 1}', '{}', '', 'minProperties', null),
         ('{"propertyNames": {"maxLength": 1}}', '{"ab": 1}', '', 'propertyNames', null),
         ('{"properties": {"a": {"items": {"type": "string"}}}}', '{"a": ["x", 1]}', '/a/1', 'type',
          null),
         ('{"properties": {"a/b~c": false}}', '{"a/b~c": 1}', '/a~1b~0c', 'properties', null),
         ('{"properties": {"a": {}}, "additionalProperties": false}', '{"b": 1}', '',
          'additionalProperties', null),
         ('{"additionalProperties": {"properties": {"x": {"type": "null"}}}}',
          '{"typed by a customer": {"x": 1}}', '', 'type', null),
         ('{"patternProperties": {"^t": {"items": {"type": "null"}}}}', '{"typed": [1]}', '',
          'type', null),
         ('{"patternProperties": {"^t": {}}, "additionalProperties": false}', '{"t": 1}', null,
          null, null),
         ('{"prefixItems": [{"type": "null"}], "items": false}', '[null, 1]', '', 'items', null),
         ('{"minItems": 1}', '[]', '', 'minItems', null),
         ('{"maxItems": 1}', '[1, 2]', '', 'maxItems', null),
         ('{"uniqueItems": true}', '[1, 1.0]', '', 'uniqueItems', null),
         ('{"contains": {"type": "null"}}', '[1]', '', 'contains', null),
         ('{"contains": {"type": "null"}, "minContains": 2}', '[null]', '', 'minContains', null),
         ('{"contains": {"type": "null"}, "minContains": 0}', '[1]', null, null, null),
         ('{"contains": {"type": "null"}, "maxContains": 1}', '[null, null]', '', 'maxContains',
          null),
         ('{"allOf": [{"properties": {"a": {"minimum": 1}}}]}', '{"a": 0}', '/a', 'minimum', null),
         ('{"properties": {"a": {"$ref": "#/$defs/d"}}, "$defs": {"d": {"minimum": 1}}}',
          '{"a": 0}', '/a', 'minimum', null),
         ('{"properties": {"a": {"anyOf": [{"type": "null"}, {"type": "string"}]}}}', '{"a": 0}',
          '/a', 'anyOf', null),
         ('{"oneOf": [{"minimum": 1}, {"minimum": 2}]}', '2', '', 'oneOf', null),
         ('{"not": {"required": ["a"]}}', '{"a": 1}', '', 'not', null),
         ('{"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}',
          '{"a": 1}', '', 'required', 'b'),
         ('{"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}',
          '{}', '', 'required', 'c')
) as v (schema, instance, pointer, keyword, missing);

-- Beyond a limit nothing is valid, not even the contrary.
select throws_ok(
  pg_catalog.format(
    $$
      select integrations_private.evaluate_schema(
               integrations_private.compile_schema(%L, 'config_schema'), 0, %s, 0, %s)
    $$,
    v.schema, v.instance, v.steps),
  '54000', v.message, v.what)
from (
  values ('a string that is too long for a pattern', '{"not": {"pattern": "y"}}',
          'pg_catalog.to_jsonb(pg_catalog.repeat(''x'', 8193))', 1000,
          'a string of over 8192 characters meets a pattern'),
         ('a name that is too long for a pattern', '{"not": {"patternProperties": {"y": false}}}',
          'pg_catalog.jsonb_build_object(pg_catalog.repeat(''x'', 8193), 1)', 1000,
          'a name of over 8192 characters meets a pattern'),
         ('a number that is too large to be divided', '{"not": {"multipleOf": 0.3}}', '''1e1000''',
          1000, 'a number of over 1000 digits meets multipleOf'),
         ('a number that is too exact to be divided', '{"not": {"multipleOf": 0.3}}',
          '''1e-1001''', 1000, 'a number of over 1000 digits meets multipleOf'),
         ('more items than steps', '{"items": {}}',
          'pg_catalog.to_jsonb(pg_catalog.array_fill(0, array[1000]))', 1000,
          'validation takes too many steps'),
         ('more patterns than steps', '{"not": {"patternProperties": {"^a{200}": {}, "^b{200}": {}}}}',
          '(select pg_catalog.jsonb_object_agg(n, n) from pg_catalog.generate_series(1, 50) as n)',
          1000, 'validation takes too many steps')
) as v (what, schema, instance, steps, message);
select throws_ok(
  pg_catalog.format(
    $$
      select integrations_private.evaluate_schema(
               integrations_private.compile_schema(%L, 'config_schema'), 0, '1', 0, 100000)
    $$,
    (select pg_catalog.jsonb_build_object(
              '$ref', '#/$defs/d0', '$defs',
              pg_catalog.jsonb_object_agg(
                'd' || n,
                case n when 300 then '{}'
                  else pg_catalog.jsonb_build_object(
                         'not', pg_catalog.jsonb_build_object('$ref', '#/$defs/d' || n + 1))
                end))
       from pg_catalog.generate_series(0, 300) as n)),
  '54000', 'conditions of the schema nest too deeply for this document',
  'conditions nest 200 levels deep');

select * from finish();
rollback;
