-- Tests functions/add_to_keyring: the form that opened_key reads.
begin;
select plan(16);

select has_function(
  'integrations_private', 'add_to_keyring',
  array['text', 'uuid', 'uuid', 'bytea']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.add_to_keyring(text,uuid,uuid,bytea)'::regprocedure
  ),
  'keyring text, tenant_id uuid, key_id uuid, data_key bytea',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'add_to_keyring',
  array['text', 'uuid', 'uuid', 'bytea'],
  'text'
);
select function_lang_is(
  'integrations_private', 'add_to_keyring',
  array['text', 'uuid', 'uuid', 'bytea'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'add_to_keyring',
  array['text', 'uuid', 'uuid', 'bytea'],
  'immutable'
);
select isnt_definer(
  'integrations_private', 'add_to_keyring',
  array['text', 'uuid', 'uuid', 'bytea']
);
select function_owner_is(
  'integrations_private', 'add_to_keyring',
  array['text', 'uuid', 'uuid', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.add_to_keyring(text,uuid,uuid,bytea)',
  array[]::name[]
);

select tests.as_owner(null);
select is(
  integrations_private.add_to_keyring(v.ring, tests.tenant_a(), tests.nobody(), tests.kek()),
  tests.tenant_a() || '|' || tests.nobody() || '=' || pg_catalog.encode(tests.kek(), 'hex'),
  'a new ring begins where there was ' || v.what)
from (
  values ('none', null),
         ('nothing in it', ''),
         ('garbage', 'garbage'),
         ('one of another tenant',
          integrations_private.add_to_keyring(
            null, tests.tenant_b(), tests.nobody(), tests.kek(2)))
) as v (what, ring);
select is(
  integrations_private.add_to_keyring(
    integrations_private.add_to_keyring(null, tests.tenant_a(), tests.nobody(), tests.kek()),
    tests.tenant_a(), tests.tenant_b(), tests.kek(2)),
  tests.tenant_a() || '|' || tests.nobody() || '=' || pg_catalog.encode(tests.kek(), 'hex')
    || '|' || tests.tenant_b() || '=' || pg_catalog.encode(tests.kek(2), 'hex'),
  'a second key comes behind the first');
select is(
  integrations_private.add_to_keyring(
    integrations_private.add_to_keyring(
      integrations_private.add_to_keyring(null, tests.tenant_a(), tests.nobody(), tests.kek()),
      tests.tenant_a(), tests.tenant_b(), tests.kek(2)),
    tests.tenant_a(), tests.nobody(), tests.kek(3)),
  tests.tenant_a() || '|' || tests.tenant_b() || '=' || pg_catalog.encode(tests.kek(2), 'hex')
    || '|' || tests.nobody() || '=' || pg_catalog.encode(tests.kek(3), 'hex'),
  'the same key again takes the place of its former entry: the ring never grows without end');

select is(
  integrations_private.add_to_keyring(
    tests.tenant_a()
      || pg_catalog.repeat('|' || tests.nobody() || '=' || pg_catalog.repeat('0', 64), 3),
    tests.tenant_a(), tests.nobody(), tests.kek()),
  tests.tenant_a() || '|' || tests.nobody() || '=' || pg_catalog.encode(tests.kek(), 'hex'),
  'every entry that a caller has put there for the key goes');

select * from finish();
rollback;
