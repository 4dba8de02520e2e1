-- Tests functions/envelope_key_id: what the table takes for encrypted credentials.
begin;
select plan(28);

select has_function('integrations_private', 'envelope_key_id', array['jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.envelope_key_id(jsonb)'::regprocedure
  ),
  'envelope jsonb',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'envelope_key_id', array['jsonb'], 'uuid');
select function_lang_is('integrations_private', 'envelope_key_id', array['jsonb'], 'plpgsql');
select volatility_is('integrations_private', 'envelope_key_id', array['jsonb'], 'immutable');
select isnt_definer('integrations_private', 'envelope_key_id', array['jsonb']);
select function_owner_is(
  'integrations_private', 'envelope_key_id', array['jsonb'], 'integrations_owner'
);
select tests.executable_by(
  'integrations_private.envelope_key_id(jsonb)', array[]::name[]
);

select tests.as_owner(null);
create function pg_temp.envelope()
returns jsonb
language sql
return pg_catalog.jsonb_build_object(
  'v', 1, 'key', tests.nobody(), 'version', 1, 'ct', 'YQ==', 'mac', 'YQ==');

select is(
  integrations_private.envelope_key_id(pg_temp.envelope()), tests.nobody(), 'an envelope has a key');
select is(
  integrations_private.envelope_key_id(
    pg_temp.envelope() || pg_catalog.jsonb_build_object('ct', pg_catalog.repeat('a', 131072))),
  tests.nobody(), 'the largest one, too');
select is(integrations_private.envelope_key_id(v.envelope), null, v.what || ' has none')
from (
  values ('NULL', null),
         ('an empty object', '{}'),
         ('an array with an envelope', pg_catalog.jsonb_build_array(pg_temp.envelope())),
         ('a text', '"key"'),
         ('JSON null', 'null'),
         ('another format', pg_temp.envelope() || '{"v": 2}'),
         ('an envelope with plaintext beside', pg_temp.envelope() || '{"token": "t"}'),
         ('one without format', pg_temp.envelope() - 'v'),
         ('one without key', pg_temp.envelope() - 'key'),
         ('one without version', pg_temp.envelope() - 'version'),
         ('one without ciphertext', pg_temp.envelope() - 'ct'),
         ('one without MAC', pg_temp.envelope() - 'mac'),
         ('one with a key that is no id', pg_temp.envelope() || '{"key": "secret"}'),
         ('one with a version in words', pg_temp.envelope() || '{"version": "one"}'),
         ('one with a list as ciphertext', pg_temp.envelope() || '{"ct": ["a"]}'),
         ('one with a MAC of null', pg_temp.envelope() || '{"mac": null}'),
         ('one that is too large',
          pg_temp.envelope()
          || pg_catalog.jsonb_build_object('ct', pg_catalog.repeat('a', 131073)))
) as v (what, envelope);

select * from finish();
rollback;
