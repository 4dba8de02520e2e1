-- Tests functions/check_kek.
begin;
select plan(25);

select has_function('integrations_private', 'check_kek', array['text', 'bytea']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.check_kek(text,bytea)'::regprocedure
  ),
  'kek_id text, kek bytea',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'check_kek', array['text', 'bytea'], 'boolean');
select function_lang_is('integrations_private', 'check_kek', array['text', 'bytea'], 'plpgsql');
select volatility_is('integrations_private', 'check_kek', array['text', 'bytea'], 'stable');
select isnt_definer('integrations_private', 'check_kek', array['text', 'bytea']);
select function_owner_is(
  'integrations_private', 'check_kek',
  array['text', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.check_kek(text,bytea)',
  array['integrations_keymaster']
);

insert into integrations_private.key_encryption_keys (kek_id, check_value) values ('kms', null);
do $$
begin
  perform tests.a_key(tests.tenant_a());
  perform tests.remember();
end
$$;

select tests.as_owner(null);
select ok(integrations_private.check_kek('kek-1', tests.kek()), 'a known KEK');
select is(
  integrations_private.check_kek('kek-9', tests.kek()), false,
  'an unknown one is not refused, and said to be unknown');
select is(
  integrations_private.check_kek(pg_catalog.repeat('k', 200), tests.kek()), false,
  'a name may have 200 characters');
select throws_ok(
  pg_catalog.format('select integrations_private.check_kek(%L, %L)', v.kek_id, tests.kek()),
  '22023', null, 'check_kek refuses ' || v.what)
from (
  values ('a null name', null),
         ('an empty name', ''),
         ('a blank name', E' \t'),
         ('a name of 201 characters', pg_catalog.repeat('k', 201))
) as v (what, kek_id);
select throws_ok(
  pg_catalog.format('select integrations_private.check_kek(%L, %L)', 'kek-1', v.kek),
  '22023', 'kek must be 32 bytes', 'check_kek refuses a KEK of ' || v.what)
from (
  values ('null', null),
         ('no bytes', ''::bytea),
         ('16 bytes', pg_catalog.substr(tests.kek(), 1, 16)),
         ('31 bytes', pg_catalog.substr(tests.kek(), 1, 31)),
         ('33 bytes', tests.kek() || '\x00')
) as v (what, kek);
select throws_ok(
  pg_catalog.format('select integrations_private.check_kek(%L, %L)', 'kek-1', tests.kek(2)),
  'IN303', 'wrong key-encryption key', 'check_kek refuses other bytes under a known name');
select throws_ok(
  pg_catalog.format('select integrations_private.check_kek(%L, %L)', 'kms', tests.kek()),
  'IN303', 'wrong key-encryption key',
  'check_kek refuses the name of a KEK that never comes to the database');
select is(
  tests.error_of(
    pg_catalog.format('select integrations_private.check_kek(%L, %L)', 'kek-1', tests.kek(2)))
    - 'context',
  pg_catalog.jsonb_build_object(
    'sqlstate', 'IN303',
    'message', 'wrong key-encryption key',
    'detail', 'KEK kek-1.',
    'hint', 'A kek_id names one key for ever. Check which key the service holds under it.'),
  'the error names the KEK and tells nothing of its bytes');
select tests.unchanged('it registers nothing');

select * from finish();
rollback;
