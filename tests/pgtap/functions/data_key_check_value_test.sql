-- Tests functions/data_key_check_value.
begin;
select plan(11);

select has_function('integrations_private', 'data_key_check_value', array['uuid', 'bytea']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.data_key_check_value(uuid,bytea)'::regprocedure
  ),
  'key_id uuid, data_key bytea',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'data_key_check_value',
  array['uuid', 'bytea'],
  'bytea'
);
select function_lang_is(
  'integrations_private', 'data_key_check_value',
  array['uuid', 'bytea'],
  'sql'
);
select volatility_is(
  'integrations_private', 'data_key_check_value',
  array['uuid', 'bytea'],
  'stable'
);
select isnt_definer('integrations_private', 'data_key_check_value', array['uuid', 'bytea']);
select function_owner_is(
  'integrations_private', 'data_key_check_value',
  array['uuid', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.data_key_check_value(uuid,bytea)',
  array['integrations_keymaster']
);

select tests.as_owner(null);
select is(
  integrations_private.data_key_check_value(tests.nobody(), tests.kek()),
  pg_catalog.substr(
    integrations_private.hmac(
      pg_catalog.convert_to('check|v1|' || tests.nobody(), 'UTF8'), tests.kek()),
    1, 16),
  'the format is public and fixed: half an HMAC of a label and the id');
select isnt(
  integrations_private.data_key_check_value(tests.nobody(), tests.kek()),
  integrations_private.data_key_check_value(tests.tenant_a(), tests.kek()),
  'one key under two ids has two check values');

select * from finish();
rollback;
