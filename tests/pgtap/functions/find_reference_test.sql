-- Tests functions/find_reference.
begin;
select plan(28);

select has_function('integrations_private', 'find_reference', array['text', 'jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.find_reference(text,jsonb)'::regprocedure
  ),
  'reference text, schema jsonb, OUT pointer text, OUT target jsonb, OUT refusal text',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'find_reference', array['text', 'jsonb'], 'record');
select function_lang_is(
  'integrations_private', 'find_reference',
  array['text', 'jsonb'],
  'plpgsql'
);
select volatility_is('integrations_private', 'find_reference', array['text', 'jsonb'], 'immutable');
select isnt_definer('integrations_private', 'find_reference', array['text', 'jsonb']);
select function_owner_is(
  'integrations_private', 'find_reference',
  array['text', 'jsonb'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.find_reference(text,jsonb)', array[]::name[]);

select tests.as_owner();
select results_eq(
  pg_catalog.format(
    $$
      select pointer, target, refusal
        from integrations_private.find_reference(
               %L, '{"a": [{"b": 1}, true], "m~n/o": 2, "": {"": 3}, "é%%": 4, "-1": 5}')
    $$,
    v.reference),
  pg_catalog.format('values (%L::text, %L::jsonb, %L::text)', v.pointer, v.target, v.refusal),
  v.reference || ' is followed')
from (
  values ('#/a', '/a', '[{"b": 1}, true]', null),
         ('#/a/0/b', '/a/0/b', '1', null),
         ('#/a/1', '/a/1', 'true', null),
         ('#/m~0n~1o', '/m~0n~1o', '2', null),
         ('#/', '/', '{"": 3}', null),
         ('#//', '//', '3', null),
         ('#/%C3%A9%25', '/é%', '4', null),
         ('#/-1', '/-1', '5', null),
         ('#/a/-1', '/a/-1', null, 'the reference leads nowhere'),
         ('#/a/00', '/a/00', null, 'the reference leads nowhere'),
         ('#/a/2', '/a/2', null, 'the reference leads nowhere'),
         ('#/a/1/b', '/a/1/b', null, 'the reference leads nowhere'),
         ('#/b', '/b', null, 'the reference leads nowhere'),
         ('#b', null, null, 'the fragment of a reference must be a JSON pointer'),
         ('#/m~n', null, null, 'the fragment of a reference must be a JSON pointer'),
         ('#/%ff', null, null, 'the fragment of a reference must be a JSON pointer'),
         ('', null, null, 'only references within the schema (#/...) are supported'),
         ('other.json#/a', null, null, 'only references within the schema (#/...) are supported')
) as v (reference, pointer, target, refusal);
select is(
  (integrations_private.find_reference('#', '{"a": 1}')).target, '{"a": 1}',
  '# is the whole schema');

select * from finish();
rollback;
