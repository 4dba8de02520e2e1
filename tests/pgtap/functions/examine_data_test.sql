-- Tests functions/examine_data. Each hazard is broken on purpose in tests/python/api/test_doctor.py.
begin;
select plan(13);

select has_function('integrations_private', 'examine_data', array['interval']);
select is(
  pg_catalog.pg_get_function_arguments('integrations_private.examine_data(interval)'::regprocedure),
  'forgotten interval',
  'its parameters are called by these names');
select is(
  pg_catalog.pg_get_function_result('integrations_private.examine_data(interval)'::regprocedure),
  'TABLE(check_name text, status text, detail text)', 'it returns a row for each check');
select function_lang_is('integrations_private', 'examine_data', array['interval'], 'plpgsql');
select volatility_is('integrations_private', 'examine_data', array['interval'], 'stable');
select isnt_definer('integrations_private', 'examine_data', array['interval']);
select function_owner_is('integrations_private', 'examine_data', array['interval'], 'integrations_owner');
select tests.executable_by('integrations_private.examine_data(interval)', array['integrations_keymaster']);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active');
end
$$;

select tests.as_keymaster();
select results_eq(
  'select check_name, status from integrations_private.examine_data(''1 hour'')',
  $$
    values ('keys_never_rotated', 'ok'),
           ('keks_never_rotated', 'ok'),
           ('quarantine', 'ok'),
           ('audit_partitions', 'warn'),
           ('audit_default_partition', 'warn'),
           ('prepared_transactions', 'ok'),
           ('tenant_setting', 'ok')
  $$,
  'it makes these checks, and a new audit log wants care');
select tests.as_superuser();
update integrations_private.tenant_keys set created_at = created_at - interval '366 days';
select results_eq(
  $$
    select d.status, d.detail from integrations_private.examine_data('1 hour') as d
     where d.check_name = 'keys_never_rotated'
  $$,
  $$
    values ('warn',
            'Data keys are older than a year. Rotate them: create_tenant_key, reencrypt_batch, '
            'retire_key. Found: 1 active data keys.')
  $$,
  'it says what is wrong, what to do, and how much of it');
select is(
  (select pg_catalog.count(*) from integrations_private.examine_data('1 hour')), 7::bigint,
  'with a row for each check');

select * from finish();
rollback;
