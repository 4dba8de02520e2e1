-- Tests functions/check_config.
begin;
select plan(21);

select has_function('integrations_private', 'check_config', array['jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.check_config(jsonb)'::regprocedure
  ),
  'config jsonb',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'check_config', array['jsonb'], 'void');
select function_lang_is('integrations_private', 'check_config', array['jsonb'], 'plpgsql');
select volatility_is('integrations_private', 'check_config', array['jsonb'], 'immutable');
select isnt_definer('integrations_private', 'check_config', array['jsonb']);
select function_owner_is(
  'integrations_private', 'check_config',
  array['jsonb'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.check_config(jsonb)', array[]::name[]);

select tests.as_owner(null);
select lives_ok($$ select integrations_private.check_config('{}') $$, 'an empty object');
select lives_ok(
  $$ select integrations_private.check_config('{"a": {"b": [1, null, "c"]}}') $$, 'any object');
select lives_ok(
  $$
    select integrations_private.check_config(
      pg_catalog.jsonb_build_object('a', pg_catalog.repeat('x', 65536 - 9)))
  $$,
  'exactly 64 KiB');
select throws_ok(
  $$
    select integrations_private.check_config(
      pg_catalog.jsonb_build_object('a', pg_catalog.repeat('x', 65536 - 8)))
  $$,
  '22023', null, 'check_config refuses one byte more');
select throws_ok(
  $$
    select integrations_private.check_config(
      ('{"a": [1' || pg_catalog.repeat(',1e131071', 7000) || ']}')::jsonb)
  $$,
  '22023', null, 'check_config refuses numbers of many digits');
select lives_ok(
  $$
    select integrations_private.check_config(
      pg_catalog.format('{"a": %s%s}', pg_catalog.repeat('[', 100), pg_catalog.repeat(']', 100))
        ::jsonb)
  $$,
  'nested 100 levels deep');
select throws_ok(
  $$
    select integrations_private.check_config(
      pg_catalog.format('{"a": %s%s}', pg_catalog.repeat('[', 101), pg_catalog.repeat(']', 101))
        ::jsonb)
  $$,
  '22023', null, 'check_config refuses one level more');
select throws_ok(
  $$
    select integrations_private.check_config(
      ('{"a": [1' || pg_catalog.repeat(',1', 100000) || ']}')::jsonb)
  $$,
  '22023', null, 'check_config refuses many values');
select throws_ok(
  $$ select integrations_private.check_config(null) $$, '22023', null, 'check_config refuses null');
select throws_ok(
  $$ select integrations_private.check_config('null') $$, '22023', null,
  'check_config refuses a JSON null');
select throws_ok(
  $$ select integrations_private.check_config('[]') $$, '22023', null,
  'check_config refuses an array');
select throws_ok(
  $$ select integrations_private.check_config('"{}"') $$, '22023',
  'config must be a JSON object of at most 64 KiB', 'check_config refuses a string');

select * from finish();
rollback;
