-- Tests tables/read_leases.
begin;
select plan(11);

select columns_are(
  'integrations_private', 'read_leases',
  array[
    'tenant_id', 'id', 'instance_id', 'session_actor', 'opened_by', 'opened_at', 'expires_at'
  ]);
select results_eq(
  $$
    select a.attname::text collate "default",
           pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_catalog.pg_get_expr(d.adbin, d.adrelid) collate "default"
      from pg_catalog.pg_attribute as a
           left join pg_catalog.pg_attrdef as d
             on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = 'integrations_private.read_leases'::regclass
       and a.attnum > 0
       and not a.attisdropped
     order by a.attnum
  $$,
  $$
    values ('tenant_id', 'uuid', true, null),
           ('id', 'uuid', true, 'gen_random_uuid()'),
           ('instance_id', 'uuid', true, null),
           ('session_actor', 'text', true, null),
           ('opened_by', 'xid8', true, null),
           ('opened_at', 'timestamp with time zone', true, null),
           ('expires_at', 'timestamp with time zone', true, null)
  $$,
  'its columns are in this order, of these types, with these defaults');
select table_owner_is('integrations_private', 'read_leases', 'integrations_owner', 'its owner');
select col_is_pk(
  'integrations_private', 'read_leases', array['tenant_id', 'id'], 'its primary key');
select indexes_are(
  'integrations_private', 'read_leases',
  array['read_leases_pkey', 'read_leases_tenant_id_expires_at_idx']);
select set_eq(
  $$
    -- Since PostgreSQL 18 NOT NULL is a constraint too.
    select c.conname::text
      from pg_catalog.pg_constraint as c
     where c.conrelid = 'integrations_private.read_leases'::regclass
       and c.contype <> 'n'
  $$,
  array['read_leases_ends_after_it_begins', 'read_leases_pkey'],
  'its constraints are these: none refers to the instance');
select triggers_are('integrations_private', 'read_leases', array[]::name[]);

select tests.as_owner(tests.tenant_a());
select throws_ok(
  $$
    insert into integrations_private.read_leases
      (tenant_id, instance_id, session_actor, opened_by, opened_at, expires_at)
    values (tests.tenant_a(), tests.nobody(), 'x', '3', now(), now())
  $$,
  '23514', null, 'the table refuses a lease that lasts no time');
select lives_ok(
  $$
    insert into integrations_private.read_leases
      (tenant_id, instance_id, session_actor, opened_by, opened_at, expires_at)
    values (tests.tenant_a(), tests.nobody(), 'x', '3', now(), now() + interval '1 minute')
  $$,
  'and takes one that does');
select is(
  (select l.id is not null from integrations_private.read_leases as l), true,
  'which gets an id that nobody can guess');

select * from finish();
rollback;
