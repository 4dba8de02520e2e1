-- Tests functions/examine_roles. Each hazard is broken on purpose in tests/python/api/test_doctor.py.
begin;
select plan(12);

select has_function('integrations_private', 'examine_roles', array[]::name[]);
select is(
  pg_catalog.pg_get_function_arguments('integrations_private.examine_roles()'::regprocedure), '',
  'its parameters are called by these names');
select is(
  pg_catalog.pg_get_function_result('integrations_private.examine_roles()'::regprocedure),
  'TABLE(check_name text, status text, detail text)', 'it returns a row for each check');
select function_lang_is('integrations_private', 'examine_roles', array[]::name[], 'plpgsql');
select volatility_is('integrations_private', 'examine_roles', array[]::name[], 'stable');
select isnt_definer('integrations_private', 'examine_roles', array[]::name[]);
select function_owner_is('integrations_private', 'examine_roles', array[]::name[], 'integrations_owner');
select tests.executable_by('integrations_private.examine_roles()', array['integrations_keymaster']);

select tests.as_keymaster();
select set_eq(
  'select check_name from integrations_private.examine_roles()',
  array[
    'package_roles', 'bypass_row_security', 'owner_members', 'service_and_auditor', 'createrole',
    'role_admins', 'predefined_roles', 'public_temp', 'public_create', 'logical_backup'
  ],
  'it makes these checks');
select tests.as_superuser();
alter role integrations_tenant createdb;
select results_eq(
  $$
    select r.status, r.detail from integrations_private.examine_roles() as r
     where r.check_name = 'package_roles'
  $$,
  $$
    values ('fail',
            'Roles of the package are too powerful: row-level security does not hold them, or '
            'they can become others. Take that away with ALTER ROLE. Found: integrations_tenant.')
  $$,
  'it says what is wrong, what to do, and where');

select * from finish();
rollback;
