-- Tests functions/doctor. Each hazard is broken on purpose in tests/python/api/test_doctor.py.
begin;
select plan(18);

select has_function('integrations', 'doctor', array[]::name[]);
select is(
  pg_catalog.pg_get_function_arguments('integrations.doctor()'::regprocedure), '',
  'its parameters are called by these names');
select is(
  pg_catalog.pg_get_function_result('integrations.doctor()'::regprocedure),
  'TABLE(check_name text, status text, detail text)', 'it returns a row for each check');
select function_lang_is('integrations', 'doctor', array[]::name[], 'plpgsql');
select volatility_is('integrations', 'doctor', array[]::name[], 'volatile');
select is_definer('integrations', 'doctor', array[]::name[]);
select function_owner_is('integrations', 'doctor', array[]::name[], 'integrations_keymaster');
select tests.executable_by('integrations.doctor()', array['integrations_admin']);

select tests.as_admin();
select results_eq(
  $$
    select pg_catalog.count(*), pg_catalog.count(distinct d.check_name)
      from integrations.doctor() as d
  $$,
  $$ values (41::bigint, 41::bigint) $$, 'it makes 41 checks');
select is_empty(
  $$ select * from integrations.doctor() as d where d.status not in ('ok', 'warn', 'fail') $$,
  'each is ok, warn or fail');
select is_empty(
  $$ select * from integrations.doctor() as d where d.detail is null or d.detail = '' $$,
  'and says more');
select tests.as_service(tests.tenant_a());
select throws_ok(
  'select * from integrations.doctor()', '42501', null, 'the service may not ask');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  'select * from integrations.doctor()', '42501', null, 'nor may an application');
select tests.as_auditor();
select throws_ok(
  'select * from integrations.doctor()', '42501', null, 'nor may an auditor');

select * from finish();
rollback;
