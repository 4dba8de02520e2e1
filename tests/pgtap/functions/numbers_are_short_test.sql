-- Tests functions/numbers_are_short: few characters may stand for many digits.
begin;
select plan(25);

select has_function('integrations_private', 'numbers_are_short', array['jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.numbers_are_short(jsonb)'::regprocedure
  ),
  'document jsonb',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'numbers_are_short', array['jsonb'], 'boolean');
select function_lang_is('integrations_private', 'numbers_are_short', array['jsonb'], 'plpgsql');
select volatility_is('integrations_private', 'numbers_are_short', array['jsonb'], 'immutable');
select isnt_definer('integrations_private', 'numbers_are_short', array['jsonb']);
select function_owner_is(
  'integrations_private', 'numbers_are_short',
  array['jsonb'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.numbers_are_short(jsonb)', array[]::name[]);

select tests.as_owner(null);
select is(
  integrations_private.numbers_are_short(v.document::jsonb), v.expected,
  v.what || case when v.expected then ' is short' else ' is not short' end)
from (
  values (null, true, 'nothing'),
         ('{}', true, 'an empty object'),
         ('1', true, 'a number'),
         ('{"a": [1, -2.5, "1e131071", {"b": null}]}', true, 'an ordinary document'),
         ('{"n": 1.7976931348623157e+308}', true, 'the largest double'),
         ('{"n": "' || pg_catalog.repeat('9', 70000) || '"}', true, 'a long text of digits'),
         ('1e65535', true, 'a number of 65536 digits'),
         ('1e65536', false, 'a number of 65537 digits'),
         ('-1e65535', false, 'one of 65536 and a sign'),
         ('0e-16383', true, 'a zero with 16383 places'),
         ('[0e-16383, 0e-16383, 0e-16383]', true, 'three of them'),
         ('[0e-16383, 0e-16383, 0e-16383, 0e-16383]', false, 'four of them'),
         ('{"a": [{"b": 1e30000}, {"c": [1e35534]}]}', true, 'what adds up to the limit'),
         ('{"a": [{"b": 1e30000}, {"c": [1e35535]}]}', false, 'what adds up to one more'),
         ('[1e131071' || pg_catalog.repeat(',1e131071', 7000) || ']', false,
          'what would be a gigabyte'),
         ('[1' || pg_catalog.repeat(',1', 32000) || ']', true, 'a list of many')
) as v (document, expected, what);

select * from finish();
rollback;
