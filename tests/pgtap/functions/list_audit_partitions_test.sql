-- Tests functions/list_audit_partitions.
begin;
select plan(13);

select has_function('integrations_private', 'list_audit_partitions', array[]::name[]);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.list_audit_partitions()'::regprocedure
  ),
  '',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'list_audit_partitions',
  array[]::name[],
  'setof record'
);
select function_lang_is(
  'integrations_private', 'list_audit_partitions',
  array[]::name[],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'list_audit_partitions',
  array[]::name[],
  'stable'
);
select isnt_definer(
  'integrations_private', 'list_audit_partitions',
  array[]::name[]
);
select function_owner_is(
  'integrations_private', 'list_audit_partitions',
  array[]::name[],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.list_audit_partitions()',
  array['integrations_keymaster']
);


select results_eq(
  'select * from integrations_private.list_audit_partitions()',
  $$
    values ('integrations_private.audit_log_default'::regclass, null::timestamptz,
            null::timestamptz)
  $$,
  'a new log has its default partition');

create table integrations_private."Ältere" partition of integrations_private.audit_log
for values from (minvalue) to ('2020-01-01 00:00:00Z');
create table integrations_private.middle partition of integrations_private.audit_log
for values from ('2020-01-01 00:00:00Z') to ('2020-02-01 00:00:00Z');
create table integrations_private.later partition of integrations_private.audit_log
for values from ('2020-02-01 00:00:00Z') to (maxvalue);
-- A zone whose abbreviation is read as that of another one, in a style that writes abbreviations.
set local timezone = 'Asia/Kolkata';
set local datestyle = 'SQL, DMY';
select results_eq(
  'select * from integrations_private.list_audit_partitions()',
  $$
    values ('integrations_private."Ältere"'::regclass, '-infinity'::timestamptz,
            '2020-01-01 00:00:00Z'::timestamptz),
           ('integrations_private.middle', '2020-01-01 00:00:00Z', '2020-02-01 00:00:00Z'),
           ('integrations_private.later', '2020-02-01 00:00:00Z', 'infinity'),
           ('integrations_private.audit_log_default', null, null)
  $$,
  'each partition comes with its bounds, whatever the session''s style is');
select is(
  pg_catalog.current_setting('datestyle'), 'SQL, DMY', 'which stays as it was');
select tests.as_keymaster();
select isnt_empty(
  'select * from integrations_private.list_audit_partitions()', 'key maintenance may ask, too');

select * from finish();
rollback;
