-- Tests functions/examine_connections. Each hazard is broken on purpose in tests/python/api/test_doctor.py.
begin;
select plan(15);

select has_function('integrations_private', 'examine_connections', array['boolean', 'text']);
select is(
  pg_catalog.pg_get_function_arguments('integrations_private.examine_connections(boolean,text)'::regprocedure), 'ssl boolean, listen_addresses text',
  'its parameters are called by these names');
select is(
  pg_catalog.pg_get_function_result('integrations_private.examine_connections(boolean,text)'::regprocedure),
  'TABLE(check_name text, status text, detail text)', 'it returns a row for each check');
select function_lang_is('integrations_private', 'examine_connections', array['boolean', 'text'], 'plpgsql');
select volatility_is('integrations_private', 'examine_connections', array['boolean', 'text'], 'stable');
select isnt_definer('integrations_private', 'examine_connections', array['boolean', 'text']);
select function_owner_is('integrations_private', 'examine_connections', array['boolean', 'text'], 'integrations_owner');
select tests.executable_by('integrations_private.examine_connections(boolean,text)', array['integrations_keymaster']);

select tests.as_keymaster();
select results_eq(
  pg_catalog.format(
    'select check_name, status from integrations_private.examine_connections(%L, %L)',
    v.ssl, v.addresses),
  pg_catalog.format($$ values ('tls', %L) $$, v.status),
  'ssl ' || v.ssl || ', listening on: ' || v.addresses)
from (
  values (true, 'localhost', 'ok'),
         (false, '', 'ok'),
         (false, '127.0.0.1, ::1', 'ok'),
         (false, '*', 'fail'),
         (false, 'localhost,192.0.2.1', 'fail'),
         (true, '*', 'warn')
) as v (ssl, addresses, status);

select * from finish();
rollback;
