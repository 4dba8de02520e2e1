-- Tests functions/parse_credentials: the server's own error would quote the secret.
begin;
select plan(36);

select has_function('integrations_private', 'parse_credentials', array['text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.parse_credentials(text)'::regprocedure
  ),
  'credentials text',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'parse_credentials', array['text'], 'jsonb');
select function_lang_is('integrations_private', 'parse_credentials', array['text'], 'plpgsql');
select volatility_is('integrations_private', 'parse_credentials', array['text'], 'immutable');
select isnt_definer('integrations_private', 'parse_credentials', array['text']);
select function_owner_is(
  'integrations_private', 'parse_credentials',
  array['text'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.parse_credentials(text)', array[]::name[]);

select tests.as_owner(null);
select is(
  integrations_private.parse_credentials('{"token": "t1", "n": 1.50}'),
  '{"token": "t1", "n": 1.50}'::jsonb, 'an object');
select is(integrations_private.parse_credentials('{}'), '{}'::jsonb, 'an empty object');
select lives_ok(
  $$
    select integrations_private.parse_credentials(
      '{"a": "' || pg_catalog.repeat('x', 65536 - 9) || '"}')
  $$,
  'exactly 64 KiB');
select lives_ok(
  $$
    select integrations_private.parse_credentials(
      '{"a": ' || pg_catalog.repeat('[', 99) || pg_catalog.repeat(']', 99) || '}')
  $$,
  'exactly 100 levels');
select lives_ok(
  $$
    select integrations_private.parse_credentials('{"n": 1.5e308, "t": "a1e131071,1e131071"}')
  $$,
  'numbers and tokens as they are');
select throws_ok(
  $$ select integrations_private.parse_credentials(null) $$, '22023',
  'credentials must not be null', 'parse_credentials refuses null');
select is(
  -- Not the context: it quotes the statement of this test, which a caller does not write so.
  tests.error_of(
    pg_catalog.format('select integrations_private.parse_credentials(%L)', v.credentials))
    - 'context',
  pg_catalog.jsonb_build_object(
    'sqlstate', 'IN305',
    'message', 'credentials must be a JSON object of at most 64 KiB',
    'detail', '',
    'hint', 'Text in JSON form, without U+0000, not nested over 100 levels; numbers count as'
            ' written out.'),
  'parse_credentials refuses ' || v.what || ' with IN305, and quotes nothing of it')
from (
  values ('an empty text', ''),
         ('a blank text', ' '),
         ('a JSON null', 'null'),
         ('a string', '"SENTINEL"'),
         ('a number', '1'),
         ('a boolean', 'true'),
         ('an array', '[{"token": "SENTINEL"}]'),
         ('a bare word', 'SENTINEL'),
         ('a value without quotes', '{"token": SENTINEL}'),
         ('an object that does not end', '{"token": "SENTINEL"'),
         ('an object with something behind', '{"token": "SENTINEL"} SENTINEL'),
         ('U+0000', '{"token": "SENTINEL\u0000"}'),
         ('half a surrogate pair', '{"token": "SENTINEL\ud800"}'),
         ('a raw newline in a string', E'{"token": "SENTINEL\n"}'),
         ('one byte over 64 KiB', '{"a": "' || pg_catalog.repeat('x', 65536 - 8) || '"}'),
         ('101 levels, the last one a value',
          '{"a": ' || pg_catalog.repeat('[', 100) || '1' || pg_catalog.repeat(']', 100) || '}'),
         ('what nests near the limit of the stack',
          '{"a": ' || pg_catalog.repeat('[', 14000) || pg_catalog.repeat(']', 14000) || '}'),
         ('64 KiB of brackets', pg_catalog.repeat('[', 65536)),
         ('an exponent that no number has', '{"n": 1e999999}'),
         ('numbers that would be a gigabyte',
          '{"n": [1' || pg_catalog.repeat(',1e131071', 7000) || ']}'),
         ('zeros with many places', '{"n": [0e-16383,0e-16383,0E-16383,0e-16383]}')
) as v (what, credentials);

select * from finish();
rollback;
