-- Tests functions/examine_objects. Each hazard is broken on purpose in tests/python/api/test_doctor.py.
begin;
select plan(13);

select has_function('integrations_private', 'examine_objects', array[]::name[]);
select is(
  pg_catalog.pg_get_function_arguments('integrations_private.examine_objects()'::regprocedure), '',
  'its parameters are called by these names');
select is(
  pg_catalog.pg_get_function_result('integrations_private.examine_objects()'::regprocedure),
  'TABLE(check_name text, status text, detail text)', 'it returns a row for each check');
select function_lang_is('integrations_private', 'examine_objects', array[]::name[], 'plpgsql');
select volatility_is('integrations_private', 'examine_objects', array[]::name[], 'stable');
select isnt_definer('integrations_private', 'examine_objects', array[]::name[]);
select function_owner_is('integrations_private', 'examine_objects', array[]::name[], 'integrations_owner');
select tests.executable_by('integrations_private.examine_objects()', array['integrations_keymaster']);

select tests.as_keymaster();
select set_eq(
  'select check_name from integrations_private.examine_objects()',
  array[
    'definer_functions', 'search_path', 'public_functions', 'row_security', 'policies',
    'table_privileges', 'foreign_code', 'statistics', 'append_only', 'triggers',
    'credentials_readers', 'pgcrypto_schema', 'default_privileges'
  ],
  'it makes these checks');
select set_eq(
  'select status from integrations_private.examine_objects()', array['ok'],
  'as deployed, all is well');
select tests.as_superuser();
alter function integrations.get_credentials(uuid) reset search_path;
select results_eq(
  $$
    select o.status, o.detail from integrations_private.examine_objects() as o
     where o.check_name = 'definer_functions'
  $$,
  $$
    values ('fail',
            'Functions that run as their owner have lost their settings or their owner: a caller '
            'may lead them astray. Deploy them again. Found: integrations.get_credentials(uuid).')
  $$,
  'it says what is wrong, what to do, and where');

select * from finish();
rollback;
