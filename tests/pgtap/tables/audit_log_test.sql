-- Tests tables/audit_log.
begin;
select plan(19);

select columns_are(
  'integrations_private', 'audit_log',
  array[
    'tenant_id', 'id', 'at', 'instance_id', 'event', 'actor', 'session_actor', 'application',
    'detail'
  ]);
select results_eq(
  $$
    select a.attname::text collate "default",
           pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
           case when a.attgenerated = '' then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end
             collate "default"
      from pg_catalog.pg_attribute as a
           left join pg_catalog.pg_attrdef as d
             on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = 'integrations_private.audit_log'::regclass
       and a.attnum > 0
       and not a.attisdropped
     order by a.attnum
  $$,
  $$
    values ('tenant_id', 'uuid', true, null),
           ('id', 'uuid', true, 'gen_random_uuid()'),
           ('at', 'timestamp with time zone', true, 'clock_timestamp()'),
           ('instance_id', 'uuid', false, null),
           ('event', 'text', true, null),
           ('actor', 'text', true,
            'COALESCE(NULLIF(current_setting(''role''::text), ''none''::text),'
            ' (SESSION_USER)::text)'),
           ('session_actor', 'text', true, 'SESSION_USER'),
           ('application', 'text', false,
            'NULLIF(current_setting(''application_name''::text), ''''::text)'),
           ('detail', 'jsonb', true, '''{}''::jsonb')
  $$,
  'its columns are in this order, of these types, with these defaults'
);
select table_owner_is(
  'integrations_private', 'audit_log', 'integrations_owner', 'its owner');
select is_partitioned('integrations_private', 'audit_log', 'it is partitioned');
select is(
  pg_catalog.pg_get_partkeydef('integrations_private.audit_log'::regclass), 'RANGE (at)',
  'by time');
select partitions_are(
  'integrations_private', 'audit_log', array['integrations_private.audit_log_default'],
  'the default partition is the only one that the plan makes');
select col_is_pk(
  'integrations_private', 'audit_log', array['tenant_id', 'at', 'id'],
  'its primary key');
select indexes_are(
  'integrations_private', 'audit_log', array['audit_log_pkey', 'audit_log_at_idx']);
select set_eq(
  $$
    -- Since PostgreSQL 18 NOT NULL is a constraint too.
    select c.conname::text
      from pg_catalog.pg_constraint as c
     where c.conrelid = 'integrations_private.audit_log'::regclass
       and c.contype <> 'n'
  $$,
  array[
    'audit_log_detail_is_object',
    'audit_log_event_is_valid',
    'audit_log_pkey'
  ],
  'its constraints are these'
);

select tests.as_owner(tests.tenant_a());
select throws_ok(
  pg_catalog.format(
    'insert into integrations_private.audit_log (tenant_id, event, actor, session_actor, detail)
     values (%L, %L, %L, ''x'', %L)', tests.tenant_a(), v.event, v.actor, v.detail),
  v.sqlstate, null, 'the log refuses ' || v.what)
from (
  values ('a null event', null, 'x', '{}', '23502'),
         ('an empty event', '', 'x', '{}', '23514'),
         ('an event in capitals', 'Read', 'x', '{}', '23514'),
         ('an event of 64 characters', pg_catalog.repeat('a', 64), 'x', '{}', '23514'),
         ('a null actor', 'tested', null, '{}', '23502'),
         ('a detail that is a string', 'tested', 'x', '"secret"', '23514'),
         ('a detail that is an array', 'tested', 'x', '[]', '23514'),
         ('a null detail', 'tested', 'x', null, '23502')
) as v (what, event, actor, detail, sqlstate);
select is_empty('select id from integrations_private.audit_log', 'none of these is there');

select * from finish();
rollback;
