-- Tests functions/credentials_subkey: what pgcrypto has no additional data for.
begin;
select plan(16);

select has_function(
  'integrations_private', 'credentials_subkey',
  array['text', 'uuid', 'uuid', 'uuid', 'integer', 'bytea']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.credentials_subkey(text,uuid,uuid,uuid,integer,bytea)'::regprocedure
  ),
  'purpose text, tenant_id uuid, instance_id uuid, key_id uuid, version integer, '
    || 'data_key bytea',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'credentials_subkey',
  array['text', 'uuid', 'uuid', 'uuid', 'integer', 'bytea'],
  'bytea'
);
select function_lang_is(
  'integrations_private', 'credentials_subkey',
  array['text', 'uuid', 'uuid', 'uuid', 'integer', 'bytea'],
  'sql'
);
select volatility_is(
  'integrations_private', 'credentials_subkey',
  array['text', 'uuid', 'uuid', 'uuid', 'integer', 'bytea'],
  'stable'
);
select isnt_definer(
  'integrations_private', 'credentials_subkey',
  array['text', 'uuid', 'uuid', 'uuid', 'integer', 'bytea']
);
select function_owner_is(
  'integrations_private', 'credentials_subkey',
  array['text', 'uuid', 'uuid', 'uuid', 'integer', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.credentials_subkey(text,uuid,uuid,uuid,integer,bytea)',
  array[]::name[]
);

select tests.as_owner(null);
select is(
  integrations_private.credentials_subkey(
    'enc', tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek()),
  integrations_private.hmac(
    pg_catalog.convert_to(
      'enc|v1|' || tests.tenant_a() || '|' || tests.tenant_b() || '|' || tests.nobody() || '|7',
      'UTF8'),
    tests.kek()),
  'the format is public and fixed: HMAC of a label and the identity of the row');

-- Change one argument at a time: each takes part.
select isnt(
  integrations_private.credentials_subkey(
    v.purpose, v.tenant_id, v.instance_id, v.key_id, v.version, v.data_key),
  integrations_private.credentials_subkey(
    'enc', tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek()),
  'another ' || v.what || ' has another subkey')
from (
  values ('purpose', 'mac', tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek()),
         ('tenant', 'enc', tests.nobody(), tests.tenant_b(), tests.nobody(), 7, tests.kek()),
         ('instance', 'enc', tests.tenant_a(), tests.nobody(), tests.nobody(), 7, tests.kek()),
         ('key id', 'enc', tests.tenant_a(), tests.tenant_b(), tests.tenant_a(), 7, tests.kek()),
         ('version', 'enc', tests.tenant_a(), tests.tenant_b(), tests.nobody(), 8, tests.kek()),
         ('data key', 'enc', tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek(2))
) as v (what, purpose, tenant_id, instance_id, key_id, version, data_key);

select * from finish();
rollback;
