-- Tests functions/list_audit_gaps.
begin;
select plan(11);

select has_function('integrations_private', 'list_audit_gaps', array[]::name[]);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.list_audit_gaps()'::regprocedure
  ),
  '',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'list_audit_gaps',
  array[]::name[],
  'setof record'
);
select function_lang_is(
  'integrations_private', 'list_audit_gaps',
  array[]::name[],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'list_audit_gaps',
  array[]::name[],
  'stable'
);
select isnt_definer(
  'integrations_private', 'list_audit_gaps',
  array[]::name[]
);
select function_owner_is(
  'integrations_private', 'list_audit_gaps',
  array[]::name[],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.list_audit_gaps()',
  array['integrations_keymaster']
);


select results_eq(
  'select * from integrations_private.list_audit_gaps()',
  $$ values ('-infinity'::timestamptz, 'infinity'::timestamptz) $$,
  'a new log is one gap');
create table integrations_private.second partition of integrations_private.audit_log
for values from ('2020-03-01 00:00:00Z') to ('2020-04-01 00:00:00Z');
create table integrations_private.third partition of integrations_private.audit_log
for values from ('2020-04-01 00:00:00Z') to ('2020-05-01 00:00:00Z');
create table integrations_private.fifth partition of integrations_private.audit_log
for values from ('2020-06-01 00:00:00Z') to (maxvalue);
select tests.as_keymaster();
select results_eq(
  'select * from integrations_private.list_audit_gaps()',
  $$
    values ('-infinity'::timestamptz, '2020-03-01 00:00:00Z'::timestamptz),
           ('2020-05-01 00:00:00Z', '2020-06-01 00:00:00Z')
  $$,
  'partitions leave gaps before, between and after them');

select * from finish();
rollback;
