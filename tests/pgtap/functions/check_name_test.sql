-- Tests functions/check_name.
begin;
select plan(16);

select has_function('integrations_private', 'check_name', array['text', 'text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.check_name(text,text)'::regprocedure
  ),
  $$name text, what text DEFAULT 'name'::text$$,
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'check_name', array['text', 'text'], 'void');
select function_lang_is('integrations_private', 'check_name', array['text', 'text'], 'plpgsql');
select volatility_is('integrations_private', 'check_name', array['text', 'text'], 'immutable');
select isnt_definer('integrations_private', 'check_name', array['text', 'text']);
select function_owner_is('integrations_private', 'check_name', array['text', 'text'], 'integrations_owner');
select tests.executable_by(
  'integrations_private.check_name(text,text)', array['integrations_keymaster']);

select tests.as_owner(null);
select lives_ok($$ select integrations_private.check_name('My CRM') $$, 'a name');
select lives_ok(
  $$ select integrations_private.check_name(pg_catalog.repeat('ü', 200)) $$,
  '200 characters, whatever their bytes');
select throws_ok(
  $$ select integrations_private.check_name(null) $$, '22023', null, 'check_name refuses null');
select throws_ok(
  $$ select integrations_private.check_name('') $$, '22023', null, 'check_name refuses nothing');
select throws_ok(
  $$ select integrations_private.check_name(E' \t\n') $$, '22023', null,
  'check_name refuses blanks');
select throws_ok(
  $$ select integrations_private.check_name(pg_catalog.repeat('a', 201)) $$, '22023',
  'name must have 1 to 200 characters, not all blank', 'check_name refuses 201 characters');
select throws_ok(
  $$ select integrations_private.check_name('', 'holder') $$, '22023',
  'holder must have 1 to 200 characters, not all blank', 'it says what the name is of');

select * from finish();
rollback;
