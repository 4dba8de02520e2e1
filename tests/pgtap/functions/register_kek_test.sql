-- Tests functions/register_kek: a name stands for one KEK for ever.
begin;
select plan(22);

select has_function(
  'integrations_private', 'register_kek', array['text', 'bytea']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.register_kek(text,bytea)'::regprocedure
  ),
  'kek_id text, kek bytea',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'register_kek',
  array['text', 'bytea'],
  'boolean'
);
select function_lang_is(
  'integrations_private', 'register_kek',
  array['text', 'bytea'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'register_kek',
  array['text', 'bytea'],
  'volatile'
);
select isnt_definer(
  'integrations_private', 'register_kek',
  array['text', 'bytea']
);
select function_owner_is(
  'integrations_private', 'register_kek',
  array['text', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.register_kek(text,bytea)',
  array['integrations_keymaster']
);

select tests.as_owner(null);
select ok(integrations_private.register_kek('kek-1', tests.kek()), 'a new KEK');
select results_eq(
  'select kek_id, check_value from integrations_private.key_encryption_keys',
  $$ select 'kek-1', integrations_private.kek_check_value('kek-1', tests.kek()) $$,
  'is known by its check value');
insert into integrations_private.key_encryption_keys (kek_id, check_value) values ('kms', null);
do $$
begin
  perform tests.remember();
end
$$;

select ok(integrations_private.register_kek('kek-1', tests.kek()), 'the same again');
select throws_ok(
  pg_catalog.format('select integrations_private.register_kek(%L, %L)', v.kek_id, v.kek),
  v.sqlstate, null, 'register_kek refuses ' || v.what)
from (
  values ('other bytes', 'kek-1', tests.kek(2), 'IN303'),
         ('the name of a KEK that never comes here', 'kms', tests.kek(), 'IN303'),
         ('a null name', null, tests.kek(), '22023'),
         ('a blank name', ' ', tests.kek(), '22023'),
         ('a name of 201 characters', pg_catalog.repeat('k', 201), tests.kek(), '22023'),
         ('a null KEK', 'kek-2', null, '22023'),
         ('31 bytes', 'kek-2', pg_catalog.substr(tests.kek(), 2), '22023')
) as v (what, kek_id, kek, sqlstate);
select tests.unchanged('none of these registers anything');
select tests.as_keymaster();
select ok(
  integrations_private.register_kek('kek-2', tests.kek(2)), 'key maintenance registers one');

select * from finish();
rollback;
