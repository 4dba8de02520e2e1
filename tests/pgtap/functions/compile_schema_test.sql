-- Tests functions/compile_schema.
begin;
select plan(40);

select has_function('integrations_private', 'compile_schema', array['jsonb', 'text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.compile_schema(jsonb,text)'::regprocedure
  ),
  'schema jsonb, name text',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'compile_schema', array['jsonb', 'text'], 'jsonb');
select function_lang_is(
  'integrations_private', 'compile_schema',
  array['jsonb', 'text'],
  'plpgsql'
);
select volatility_is('integrations_private', 'compile_schema', array['jsonb', 'text'], 'immutable');
select isnt_definer('integrations_private', 'compile_schema', array['jsonb', 'text']);
select function_owner_is(
  'integrations_private', 'compile_schema',
  array['jsonb', 'text'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.compile_schema(jsonb,text)', array[]::name[]);

select tests.as_owner();
select is(
  integrations_private.compile_schema(v.schema::jsonb, 'config_schema'), v.rules::jsonb,
  v.schema || ' is compiled')
from (
  values ('{}', '[{}]'),
         ('true', '[{}]'),
         ('false', '[{"false": "false"}]'),
         ('{"title": "T", "x-mine": [1], "default": 1, "format": "uri"}', '[{}]'),
         ('{"type": "string", "pattern": "a."}',
          '[{"type": ["string"], "string": {"pattern": ["a[^\\n\\r\\u2028\\u2029]", 1, 3]}}]'),
         ('{"properties": {"a/b": {"const": null}}, "required": ["a/b"]}',
          '[{"object": {"properties": [["a/b", "/a~1b", 1]], "required": ["a/b"]}},
            {"const": null}]'),
         ('{"additionalProperties": false, "properties": {"a": true}}',
          '[{"object": {"properties": [["a", "/a", 1]], "additionalProperties": 2,
                        "named": "{a}"}},
            {}, {"false": "additionalProperties"}]'),
         ('{"patternProperties": {"^x": {"minimum": 1}}}',
          '[{"object": {"patternProperties": [["^x", 1, 2, 1]]}}, {"number": {"minimum": 1}}]'),
         ('{"items": {"$ref": "#"}, "prefixItems": [{"$ref": "#/$defs/d"}], "$defs": {"d": {}}}',
          '[{"array": {"items": 2, "prefixItems": [3]}}, {},
            {"logic": {"$ref": 0}}, {"logic": {"$ref": 1}}]'),
         ('{"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"c": false}}',
          '[{"object": {"dependentRequired": [["a", ["b"]]],
                        "dependentSchemas": [["c", "/c", 1]]}},
            {"false": "dependentSchemas"}]'),
         ('{"dependentRequired": {}, "properties": {}, "required": []}',
          '[{"object": {"dependentRequired": [], "properties": [], "required": []}}]')
) as v (schema, rules);
select results_eq(
  pg_catalog.format(
    'select tests.error_of(%L) - ''context''',
    pg_catalog.format(
      'select integrations_private.compile_schema(%L, %L)', v.schema, 'config_schema')),
  pg_catalog.format(
    'select pg_catalog.jsonb_build_object(%L, %L, %L, %L, %L, %L, %L, %L)',
    'sqlstate', 'IN105', 'message', 'schema is invalid or not supported',
    'detail', 'config_schema, pointer ' || v.detail || '.', 'hint',
    'JSON Schema, draft 2020-12, with the keywords and limits of docs/schemas.md.'),
  v.schema || ' is refused')
from (
  values ('1', '"": a schema must be an object, true or false'),
         ('null', '"": a schema must be an object, true or false'),
         ('{"properties": {"a": 1}}', '"/properties/a": a schema must be an object, true or false'),
         ('{"allOf": [{"x": 1}, {"not": {"minLength": -1}}]}',
          '"/allOf/1/not/minLength": it must be an integer from 0 to 2147483647'),
         ('{"$defs": {"a/b": {"$ref": "#/c"}}}',
          '"/$defs/a~1b/$ref": the reference leads nowhere'),
         ('{"items": {"$id": "https://example.com/x"}}',
          '"/items/$id": it is supported only at the root of a schema'),
         ('{"contentSchema": {"type": 1}}',
          '"/contentSchema/type": it must be array, boolean, integer, null, number, object or '
            'string, or several'),
         ('{"patternProperties": {"(": {}}}', '"/patternProperties/(": a group does not end'),
         ('{"pattern": "(?i)a"}',
          '"/pattern": groups that begin with (?i are not supported'),
         ('{"$ref": "#"}', '"": it refers to itself without end'),
         ('{"properties": {"a": {"anyOf": [{"$ref": "#/properties/a"}, {}]}}}',
          '"/properties/a": it refers to itself without end')
) as v (schema, detail);
select throws_ok(
  pg_catalog.format(
    'select integrations_private.compile_schema(%L, %L)',
    pg_catalog.repeat('{"not":', n) || '{}' || pg_catalog.repeat('}', n), 'config_schema'),
  'IN105', null, n || ' levels are too many')
from pg_catalog.unnest(array[101, 1000]) as n;
select lives_ok(
  pg_catalog.format(
    'select integrations_private.compile_schema(%L, %L)',
    pg_catalog.repeat('{"not":', 99) || '{}' || pg_catalog.repeat('}', 99), 'config_schema'),
  'a hundred levels are not');
select throws_ok(
  pg_catalog.format(
    'select integrations_private.compile_schema(%L, %L)',
    pg_catalog.jsonb_build_object('title', pg_catalog.repeat('x', 65536 - 12)), 'config_schema'),
  'IN105', null, 'one byte over 64 KiB is too much');
select lives_ok(
  pg_catalog.format(
    'select integrations_private.compile_schema(%L, %L)',
    pg_catalog.jsonb_build_object('title', pg_catalog.repeat('x', 65536 - 13)), 'config_schema'),
  '64 KiB are not');
-- Each of these patterns is read in 5638 steps.
select lives_ok(
  pg_catalog.format(
    'select integrations_private.compile_schema(%L, %L)',
    '{"allOf": [{}' || pg_catalog.repeat(', ' || v.schema, 17) || ']}', 'config_schema'),
  'below 100,000 steps several patterns are taken: ' || v.schema)
from (
  values ('{"pattern": "(b*|[^a]+|x){1,33}c"}'),
         ('{"patternProperties": {"(b*|[^a]+|x){1,33}c": {}}}')
) as v (schema);
select is(
  tests.error_of(
    pg_catalog.format(
      'select integrations_private.compile_schema(%L, %L)',
      '{"allOf": [{}' || pg_catalog.repeat(', ' || v.schema, 18) || ']}', 'config_schema'))
  ->> 'detail',
  'config_schema, pointer "/allOf/18/' || v.place
    || '": the patterns up to here are too complex together.',
  'beyond it one is too many: ' || v.schema)
from (
  values ('{"pattern": "(b*|[^a]+|x){1,33}c"}', 'pattern'),
         ('{"patternProperties": {"(b*|[^a]+|x){1,33}c": {}}}',
          'patternProperties/(b*|[^a]+|x){1,33}c')
) as v (schema, place);

select * from finish();
rollback;
