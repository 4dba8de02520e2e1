-- Tests functions/keyword_problem.
begin;
select plan(84);

select has_function('integrations_private', 'keyword_problem', array['text', 'jsonb', 'boolean']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.keyword_problem(text,jsonb,boolean)'::regprocedure
  ),
  'keyword text, value jsonb, is_root boolean',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'keyword_problem',
  array['text', 'jsonb', 'boolean'],
  'text'
);
select function_lang_is(
  'integrations_private', 'keyword_problem',
  array['text', 'jsonb', 'boolean'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'keyword_problem',
  array['text', 'jsonb', 'boolean'],
  'immutable'
);
select isnt_definer('integrations_private', 'keyword_problem', array['text', 'jsonb', 'boolean']);
select function_owner_is(
  'integrations_private', 'keyword_problem',
  array['text', 'jsonb', 'boolean'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.keyword_problem(text,jsonb,boolean)',
  array[]::name[]
);

select tests.as_owner();
select is(
  integrations_private.keyword_problem(v.keyword, v.value::jsonb, true), null,
  v.keyword || ' may be ' || v.value)
from (
  values ('type', '"integer"'), ('type', '["string", "null"]'), ('enum', '[]'), ('const', 'null'),
         ('minLength', '0'), ('maxItems', '2.0'), ('minimum', '-1.5'), ('multipleOf', '0.01'),
         ('pattern', '"("'), ('required', '[]'), ('required', '["a", "b"]'),
         ('dependentRequired', '{}'), ('dependentRequired', '{"a": [], "b": ["a"]}'),
         ('uniqueItems', 'false'), ('allOf', '[1]'), ('properties', '{"a": 1}'), ('items', '1'),
         ('$schema', '"https://json-schema.org/draft/2020-12/schema"'),
         ('$id', '"https://example.com/s"'), ('$ref', '"#"'), ('$comment', '"x"'),
         ('title', '"x"'), ('format', '"uri"'), ('default', '1'), ('deprecated', 'true'),
         ('x-widget', '{"a": 1}'), ('examples', '[1]')
) as v (keyword, value);
select isnt(
  integrations_private.keyword_problem(v.keyword, v.value::jsonb, true), null,
  v.keyword || ' may not be ' || v.value)
from (
  values ('type', '"any"'), ('type', '[]'), ('type', '["string", "string"]'), ('type', '1'),
         ('type', '[["string"]]'), ('type', 'null'), ('enum', '"a"'), ('examples', '{}'),
         ('minLength', '-1'), ('maxItems', '1.5'), ('minItems', '"1"'), ('maxLength', '3e9'),
         ('minimum', '"1"'), ('maximum', '1e1000'), ('multipleOf', '0'), ('multipleOf', '-1'),
         ('pattern', '1'), ('required', '{}'), ('required', '["a", "a"]'), ('required', '["a", 1]'),
         ('dependentRequired', '[]'), ('dependentRequired', '{"a": "b"}'),
         ('dependentRequired', '{"a": ["b"], "c": ["b", "b"]}'), ('uniqueItems', '1'),
         ('allOf', '[]'), ('anyOf', '{}'), ('oneOf', '[]'), ('prefixItems', '[]'),
         ('properties', '[]'), ('$defs', 'true'), ('definitions', '1'),
         ('$schema', '"http://json-schema.org/draft-07/schema#"'), ('$schema', '1'),
         ('$id', '1'), ('$id', '"#a"'), ('$ref', '1'), ('title', '1'), ('deprecated', '1'),
         ('$anchor', '"a"'), ('$dynamicRef', '"#"'), ('$dynamicAnchor', '"a"'),
         ('$vocabulary', '{}'), ('unevaluatedItems', 'true'), ('unevaluatedProperties', 'false'),
         ('dependencies', '{}'), ('additionalItems', 'true')
) as v (keyword, value);
select isnt(
  integrations_private.keyword_problem(k, '"https://json-schema.org/draft/2020-12/schema"', false),
  null, k || ' belongs to the root')
from pg_catalog.unnest(array['$schema', '$id']) as k;

select * from finish();
rollback;
