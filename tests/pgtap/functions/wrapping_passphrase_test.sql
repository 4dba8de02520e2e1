-- Tests functions/wrapping_passphrase.
begin;
select plan(13);

select has_function('integrations_private', 'wrapping_passphrase', array['uuid', 'uuid', 'bytea']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.wrapping_passphrase(uuid,uuid,bytea)'::regprocedure
  ),
  'tenant_id uuid, key_id uuid, kek bytea',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'wrapping_passphrase',
  array['uuid', 'uuid', 'bytea'],
  'text'
);
select function_lang_is(
  'integrations_private', 'wrapping_passphrase',
  array['uuid', 'uuid', 'bytea'],
  'sql'
);
select volatility_is(
  'integrations_private', 'wrapping_passphrase',
  array['uuid', 'uuid', 'bytea'],
  'stable'
);
select isnt_definer('integrations_private', 'wrapping_passphrase', array['uuid', 'uuid', 'bytea']);
select function_owner_is(
  'integrations_private', 'wrapping_passphrase',
  array['uuid', 'uuid', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.wrapping_passphrase(uuid,uuid,bytea)',
  array['integrations_keymaster']
);

select tests.as_owner(null);
select is(
  integrations_private.wrapping_passphrase(tests.tenant_a(), tests.nobody(), tests.kek()),
  pg_catalog.encode(
    integrations_private.hmac(
      pg_catalog.convert_to('wrap|v1|' || tests.tenant_a() || '|' || tests.nobody(), 'UTF8'),
      tests.kek()),
    'hex'),
  'the format is public and fixed: HMAC of a label, the tenant and the key id, in hex');
select isnt(
  integrations_private.wrapping_passphrase(tests.tenant_a(), tests.nobody(), tests.kek()),
  integrations_private.wrapping_passphrase(tests.tenant_b(), tests.nobody(), tests.kek()),
  'another tenant has another');
select isnt(
  integrations_private.wrapping_passphrase(tests.tenant_a(), tests.nobody(), tests.kek()),
  integrations_private.wrapping_passphrase(tests.tenant_a(), tests.tenant_b(), tests.kek()),
  'another key has another');
select isnt(
  integrations_private.wrapping_passphrase(tests.tenant_a(), tests.nobody(), tests.kek()),
  integrations_private.wrapping_passphrase(tests.tenant_a(), tests.nobody(), tests.kek(2)),
  'another KEK has another');

select * from finish();
rollback;
