-- Tests functions/bound_audit_default.
begin;
select plan(19);

select has_function('integrations_private', 'bound_audit_default', array['timestamp with time zone', 'timestamp with time zone']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.bound_audit_default(timestamp with time zone,timestamp with time zone)'::regprocedure
  ),
  'since timestamp with time zone, until timestamp with time zone',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'bound_audit_default',
  array['timestamp with time zone', 'timestamp with time zone'],
  'regclass'
);
select function_lang_is(
  'integrations_private', 'bound_audit_default',
  array['timestamp with time zone', 'timestamp with time zone'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'bound_audit_default',
  array['timestamp with time zone', 'timestamp with time zone'],
  'volatile'
);
select is_definer(
  'integrations_private', 'bound_audit_default',
  array['timestamp with time zone', 'timestamp with time zone']
);
select function_owner_is(
  'integrations_private', 'bound_audit_default',
  array['timestamp with time zone', 'timestamp with time zone'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.bound_audit_default(timestamp with time zone,timestamp with time zone)',
  array['integrations_keymaster']
);


do $$
begin
  perform tests.an_instance(tests.tenant_a());
end
$$;
insert into integrations_private.audit_log (tenant_id, at, event, actor, session_actor)
values (tests.tenant_a(), '2020-03-31 23:59:59.999999Z', 'an_old_one', '', '');
create temporary table before on commit drop as
select a.id, a.ctid::text as place from integrations_private.audit_log as a;
create temporary table storage on commit drop as
select pg_catalog.pg_relation_filenode('integrations_private.audit_log_default') as file;

select tests.as_keymaster();
select throws_ok(
  $$
    select integrations_private.bound_audit_default('2020-04-01 00:00:00Z', '2100-01-01 00:00:00Z')
  $$,
  '23514', null, 'it refuses bounds that leave an entry out');
select is(
  integrations_private.bound_audit_default('2020-03-01 00:00:00Z', '2100-01-01 00:00:00Z')::text,
  'integrations_private.audit_log_2020_03_to_2099_12',
  'the partition is named after its months');
select tests.as_superuser();
select is(
  pg_catalog.pg_relation_filenode('integrations_private.audit_log_2020_03_to_2099_12'), s.file,
  'it is the same file')
from pg_temp.storage as s;
select set_eq(
  $$
    select a.id, a.ctid::text as place from integrations_private.audit_log as a
     where a.tableoid = 'integrations_private.audit_log_2020_03_to_2099_12'::regclass
  $$,
  'select id, place from pg_temp.before', 'every entry is where it was');
select is_empty(
  'select * from integrations_private.audit_log_default', 'the new default partition is empty');
select indexes_are(
  'integrations_private', 'audit_log_default',
  array['audit_log_default_pkey', 'audit_log_default_at_idx'], 'and has the names of the old one');
select indexes_are(
  'integrations_private', 'audit_log_2020_03_to_2099_12',
  array['audit_log_2020_03_to_2099_12_pkey', 'audit_log_2020_03_to_2099_12_at_idx'],
  'which has others');
select throws_ok(
  pg_catalog.format(c, t), '42501', 'the audit log is append-only',
  t || ' is append-only: ' || pg_catalog.split_part(c, ' ', 1))
from pg_catalog.unnest(array[
       'delete from integrations_private.%I',
       'truncate integrations_private.%I'
     ]) as c
     cross join pg_catalog.unnest(array['audit_log_2020_03_to_2099_12']) as t;

select * from finish();
rollback;
