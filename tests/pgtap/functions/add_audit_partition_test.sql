-- Tests functions/add_audit_partition.
begin;
select plan(19);

select has_function('integrations_private', 'add_audit_partition', array['timestamp with time zone', 'timestamp with time zone']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.add_audit_partition(timestamp with time zone,timestamp with time zone)'::regprocedure
  ),
  'since timestamp with time zone, until timestamp with time zone',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'add_audit_partition',
  array['timestamp with time zone', 'timestamp with time zone'],
  'regclass'
);
select function_lang_is(
  'integrations_private', 'add_audit_partition',
  array['timestamp with time zone', 'timestamp with time zone'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'add_audit_partition',
  array['timestamp with time zone', 'timestamp with time zone'],
  'volatile'
);
select is_definer(
  'integrations_private', 'add_audit_partition',
  array['timestamp with time zone', 'timestamp with time zone']
);
select function_owner_is(
  'integrations_private', 'add_audit_partition',
  array['timestamp with time zone', 'timestamp with time zone'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.add_audit_partition(timestamp with time zone,timestamp with time zone)',
  array['integrations_keymaster']
);


alter default privileges for role integrations_owner grant all on tables to public, pg_monitor;
set local timezone = 'America/New_York';
set local datestyle = 'SQL, DMY';
select tests.as_keymaster();
select is(
  integrations_private.add_audit_partition('2020-03-01 00:00:00Z', '2020-04-01 00:00:00Z')::text,
  'integrations_private.audit_log_2020_03', 'it is named after its month');
select throws_ok(
  $$
    select integrations_private.add_audit_partition('2020-03-01 00:00:00Z', '2020-04-01 00:00:00Z')
  $$,
  '42P07', null, 'there cannot be two');
select throws_ok(
  $$ select integrations_private.add_audit_partition(null, null) $$, '42P07', null,
  'nor two default ones');
select tests.as_superuser();
select results_eq(
  $$
    select l.since, l.until from integrations_private.list_audit_partitions() as l
     where l.partition = 'integrations_private.audit_log_2020_03'::regclass
  $$,
  $$ values ('2020-03-01 00:00:00Z'::timestamptz, '2020-04-01 00:00:00Z'::timestamptz) $$,
  'it has the bounds that were asked for');
select results_eq(
  $$
    select c.relowner::regrole::text collate "default", c.relrowsecurity, c.relforcerowsecurity,
           pg_catalog.obj_description(c.oid, 'pg_class') collate "default",
           (select pg_catalog.string_agg(distinct a.grantee::regrole::text, ' ')
              from pg_catalog.aclexplode(c.relacl) as a) collate "default"
      from pg_catalog.pg_class as c
     where c.oid = 'integrations_private.audit_log_2020_03'::regclass
  $$,
  $$
    values ('integrations_owner'::text, true, true,
            'Entries of the audit log of one month, in UTC.'::text, 'integrations_owner'::text)
  $$,
  'it is the owner''s alone, whatever the default privileges are');
select policies_are(
  'integrations_private', 'audit_log_2020_03', array[]::name[],
  'no policy: nobody comes in but through the parent');
select triggers_are(
  'integrations_private', 'audit_log_2020_03', array['_100_append_only', '_110_no_truncate']);
select results_eq(
  $$
    select distinct t.tgenabled::text
      from pg_catalog.pg_trigger as t
     where t.tgrelid = 'integrations_private.audit_log_2020_03'::regclass
  $$,
  array['A'], 'both fire always');
select indexes_are(
  'integrations_private', 'audit_log_2020_03',
  array['audit_log_2020_03_pkey', 'audit_log_2020_03_at_idx']);

select * from finish();
rollback;
