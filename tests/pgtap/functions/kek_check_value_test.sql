-- Tests functions/kek_check_value.
begin;
select plan(12);

select has_function('integrations_private', 'kek_check_value', array['text', 'bytea']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.kek_check_value(text,bytea)'::regprocedure
  ),
  'kek_id text, kek bytea',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'kek_check_value', array['text', 'bytea'], 'bytea');
select function_lang_is('integrations_private', 'kek_check_value', array['text', 'bytea'], 'sql');
select volatility_is('integrations_private', 'kek_check_value', array['text', 'bytea'], 'stable');
select isnt_definer('integrations_private', 'kek_check_value', array['text', 'bytea']);
select function_owner_is(
  'integrations_private', 'kek_check_value',
  array['text', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.kek_check_value(text,bytea)',
  array['integrations_keymaster']
);

select tests.as_owner(null);
select is(
  integrations_private.kek_check_value('kek-1', tests.kek()),
  integrations_private.hmac('kek|v1|kek-1'::bytea, tests.kek()),
  'the format is public and fixed: HMAC of a label and the name');
select is(
  pg_catalog.octet_length(integrations_private.kek_check_value('kek-1', tests.kek())), 32,
  'a whole HMAC');
select isnt(
  integrations_private.kek_check_value('kek-1', tests.kek()),
  integrations_private.kek_check_value('kek-2', tests.kek()),
  'one key under two names has two check values');

select * from finish();
rollback;
