-- Tests functions/examine_settings. Each hazard is broken on purpose in tests/python/api/test_doctor.py.
begin;
select plan(12);

select has_function('integrations_private', 'examine_settings', array[]::name[]);
select is(
  pg_catalog.pg_get_function_arguments('integrations_private.examine_settings()'::regprocedure), '',
  'its parameters are called by these names');
select is(
  pg_catalog.pg_get_function_result('integrations_private.examine_settings()'::regprocedure),
  'TABLE(check_name text, status text, detail text)', 'it returns a row for each check');
select function_lang_is('integrations_private', 'examine_settings', array[]::name[], 'plpgsql');
select volatility_is('integrations_private', 'examine_settings', array[]::name[], 'stable');
select isnt_definer('integrations_private', 'examine_settings', array[]::name[]);
select function_owner_is('integrations_private', 'examine_settings', array[]::name[], 'integrations_owner');
select tests.executable_by('integrations_private.examine_settings()', array['integrations_keymaster']);

select tests.as_keymaster();
select set_eq(
  'select check_name from integrations_private.examine_settings()',
  array[
    'log_statement', 'log_min_duration_statement', 'log_min_duration_sample',
    'log_transaction_sample_rate', 'log_parameter_max_length_on_error', 'debug_print',
    'auto_explain.log_parameter_max_length', 'auto_explain.log_verbose', 'pgaudit.log_parameter',
    'synchronous_commit'
  ],
  'it makes these checks');
select tests.as_superuser();
set local log_statement = 'all';
select results_eq(
  $$
    -- Other tests have logins on this server, with settings of their own.
    select s.status,
           pg_catalog.regexp_replace(s.detail, 'Found: (.+, )?this session(, .+)?[.]$',
                                     'Found: this session.')
      from integrations_private.examine_settings() as s
     where s.check_name = 'log_statement'
  $$,
  $$
    values ('fail',
            'Statements are logged with their parameters, secrets among them. Set it to none or '
            'ddl, or log_parameter_max_length to 0. Found: this session.')
  $$,
  'it says what is wrong, what to do, and where');

select * from finish();
rollback;
