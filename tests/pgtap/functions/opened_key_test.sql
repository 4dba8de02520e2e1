-- Tests functions/opened_key: the keyring is a setting, and a caller can set a setting.
begin;
select plan(25);

select has_function(
  'integrations_private', 'opened_key',
  array['uuid', 'uuid', 'integrations_private.tenant_key_state', 'bytea']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.opened_key('
    'uuid,uuid,integrations_private.tenant_key_state,bytea)'::regprocedure
  ),
  'tenant_id uuid, key_id uuid, state integrations_private.tenant_key_state, '
    || 'check_value bytea',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'opened_key',
  array['uuid', 'uuid', 'integrations_private.tenant_key_state', 'bytea'],
  'bytea'
);
select function_lang_is(
  'integrations_private', 'opened_key',
  array['uuid', 'uuid', 'integrations_private.tenant_key_state', 'bytea'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'opened_key',
  array['uuid', 'uuid', 'integrations_private.tenant_key_state', 'bytea'],
  'stable'
);
select isnt_definer(
  'integrations_private', 'opened_key',
  array['uuid', 'uuid', 'integrations_private.tenant_key_state', 'bytea']
);
select function_owner_is(
  'integrations_private', 'opened_key',
  array['uuid', 'uuid', 'integrations_private.tenant_key_state', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.opened_key(uuid,uuid,integrations_private.tenant_key_state,bytea)',
  array[]::name[]
);

select tests.as_owner(tests.tenant_a());
create temporary table k on commit drop as
select tests.nobody() as id,
       integrations_private.data_key_check_value(tests.nobody(), tests.kek()) as check_value;

-- Takes a keyring to try and the state of the key.
prepare opened(text, integrations_private.tenant_key_state) as
select integrations_private.opened_key(tests.tenant_a(), k.id, $2, k.check_value)
  from k
 where pg_catalog.set_config('integrations.keyring', $1, true) is not null;

select results_eq(
  pg_catalog.format(
    'execute opened(%L, %L)',
    integrations_private.add_to_keyring(null, tests.tenant_a(), tests.nobody(), tests.kek()), s),
  array[tests.kek()], 'a key that was unlocked is there while its state is ' || s)
from pg_catalog.unnest(array['active', 'decrypt_only']) as s;
select throws_ok(
  pg_catalog.format(
    'execute opened(%L, %L)',
    integrations_private.add_to_keyring(null, tests.tenant_a(), tests.nobody(), tests.kek()), s),
  'IN307', 'tenant key is destroyed, retired or unknown',
  'opened_key refuses a key that is ' || coalesce(s, 'unknown'))
from pg_catalog.unnest(array['retired', 'destroyed', null]) as s;
select throws_ok(
  pg_catalog.format('execute opened(%L, %L)', v.keyring, 'active'),
  'IN302', 'credentials are locked', 'opened_key refuses ' || v.what)
from (
  values ('an empty keyring', ''),
         ('garbage', 'garbage'),
         ('a keyring with nothing in it', tests.tenant_a()::text),
         ('a keyring of another tenant',
          integrations_private.add_to_keyring(
            null, tests.tenant_b(), tests.nobody(), tests.kek())),
         ('a keyring with other keys only',
          integrations_private.add_to_keyring(
            null, tests.tenant_a(), tests.tenant_b(), tests.kek())),
         ('a key that is too short',
          tests.tenant_a() || '|' || tests.nobody() || '=' || pg_catalog.repeat('0', 63)),
         ('a key that is no hex',
          tests.tenant_a() || '|' || tests.nobody() || '=' || pg_catalog.repeat('g', 64)),
         ('a key in capitals, which is not what unlock writes',
          tests.tenant_a() || '|' || tests.nobody() || '=' || pg_catalog.repeat('A', 64))
) as v (what, keyring);
select throws_ok(
  pg_catalog.format('execute opened(%L, %L)', v.keyring, 'active'),
  'IN303', 'wrong tenant key', 'opened_key refuses ' || v.what)
from (
  values ('zeros',
          tests.tenant_a() || '|' || tests.nobody() || '=' || pg_catalog.repeat('0', 64)),
         ('a key of the caller''s own making',
          integrations_private.add_to_keyring(
            null, tests.tenant_a(), tests.nobody(), tests.kek(2)))
) as v (what, keyring);

-- A key without a check value proves nothing.
select throws_ok(
  pg_catalog.format(
    $$
      select integrations_private.opened_key(%L, %L, 'active', null)
       where pg_catalog.set_config('integrations.keyring', %L, true) is not null
    $$,
    tests.tenant_a(), tests.nobody(),
    integrations_private.add_to_keyring(null, tests.tenant_a(), tests.nobody(), tests.kek())),
  'IN303', null, 'opened_key refuses a key without a check value');

select * from finish();
rollback;
