-- Tests functions/lock_audit_log.
begin;
select plan(15);

select has_function('integrations_private', 'lock_audit_log', array['boolean', 'regclass[]', 'interval']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.lock_audit_log(boolean,regclass[],interval)'::regprocedure
  ),
  'exclusive boolean, partitions regclass[], patience interval',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'lock_audit_log',
  array['boolean', 'regclass[]', 'interval'],
  'void'
);
select function_lang_is(
  'integrations_private', 'lock_audit_log',
  array['boolean', 'regclass[]', 'interval'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'lock_audit_log',
  array['boolean', 'regclass[]', 'interval'],
  'volatile'
);
select is_definer(
  'integrations_private', 'lock_audit_log',
  array['boolean', 'regclass[]', 'interval']
);
select function_owner_is(
  'integrations_private', 'lock_audit_log',
  array['boolean', 'regclass[]', 'interval'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.lock_audit_log(boolean,regclass[],interval)',
  array['integrations_keymaster']
);


create function pg_temp.locks()
returns setof text
language sql
as $$
select l.relation::regclass || ' ' || l.mode
  from pg_catalog.pg_locks as l
 where l.pid = pg_catalog.pg_backend_pid()
   and l.relation::regclass::text like 'integrations_private.audit_log%'
   and l.mode in ('ShareUpdateExclusiveLock', 'AccessExclusiveLock')
$$;

set local lock_timeout = '7s';
select tests.as_keymaster();
select is_empty('select * from pg_temp.locks()', 'nothing is locked');
select lives_ok(
  $$ select integrations_private.lock_audit_log(false, array[]::regclass[], '1 second') $$,
  'against other maintenance');
select set_eq(
  'select * from pg_temp.locks()',
  array['integrations_private.audit_log ShareUpdateExclusiveLock'],
  'only the log is locked, and no reader or writer minds');
select lives_ok(
  $$
    select integrations_private.lock_audit_log(
      true, array['integrations_private.audit_log_default']::regclass[], '1 second')
  $$,
  'against everybody');
select set_eq(
  'select * from pg_temp.locks()',
  array[
    'integrations_private.audit_log ShareUpdateExclusiveLock',
    'integrations_private.audit_log AccessExclusiveLock',
    'integrations_private.audit_log_default AccessExclusiveLock'
  ],
  'log and partition are locked');
select is(
  pg_catalog.current_setting('lock_timeout'), '7s', 'the caller''s lock_timeout is as it was');

select * from finish();
rollback;
