-- Tests tables/refresh_leases.
begin;
select plan(25);

select columns_are(
  'integrations_private', 'refresh_leases',
  array[
    'tenant_id', 'instance_id', 'lease', 'holder', 'credentials_version', 'claimed_at',
    'leased_until', 'failures', 'retry_at', 'refreshed_at'
  ]);
select results_eq(
  $$
    select a.attname::text collate "default",
           pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
           pg_catalog.pg_get_expr(d.adbin, d.adrelid) collate "default"
      from pg_catalog.pg_attribute as a
           left join pg_catalog.pg_attrdef as d
             on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = 'integrations_private.refresh_leases'::regclass
       and a.attnum > 0
       and not a.attisdropped
     order by a.attnum
  $$,
  $$
    values ('tenant_id', 'uuid', true, null),
           ('instance_id', 'uuid', true, null),
           ('lease', 'uuid', false, null),
           ('holder', 'text', true, null),
           ('credentials_version', 'integer', true, null),
           ('claimed_at', 'timestamp with time zone', true, null),
           ('leased_until', 'timestamp with time zone', false, null),
           ('failures', 'integer', true, '0'),
           ('retry_at', 'timestamp with time zone', false, null),
           ('refreshed_at', 'timestamp with time zone', false, null)
  $$,
  'its columns are in this order, of these types, with these defaults'
);
select table_owner_is(
  'integrations_private', 'refresh_leases', 'integrations_owner', 'its owner');
select col_is_pk(
  'integrations_private', 'refresh_leases', array['tenant_id', 'instance_id'],
  'its primary key');
select col_is_unique(
  'integrations_private', 'refresh_leases', array['tenant_id', 'lease'],
  'its unique key');
select fk_ok(
  'integrations_private', 'refresh_leases', array['tenant_id', 'instance_id'],
  'integrations', 'integration_instances', array['tenant_id', 'id']);
select indexes_are(
  'integrations_private', 'refresh_leases',
  array[
    'refresh_leases_pkey', 'refresh_leases_tenant_id_lease_key', 'refresh_leases_retry_at_idx'
  ]);
select set_eq(
  $$
    -- Since PostgreSQL 18 NOT NULL is a constraint too.
    select c.conname::text
      from pg_catalog.pg_constraint as c
     where c.conrelid = 'integrations_private.refresh_leases'::regclass
       and c.contype <> 'n'
  $$,
  array[
    'refresh_leases_failures_is_count',
    'refresh_leases_holder_is_valid',
    'refresh_leases_instance_id_fkey',
    'refresh_leases_lease_has_end',
    'refresh_leases_pkey',
    'refresh_leases_tenant_id_lease_key'
  ],
  'its constraints are these'
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active'),
          tests.an_instance(tests.tenant_a(), 'leased', 'active'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active');
  perform integrations.set_tenant(tests.tenant_a());
  perform integrations.claim_refresh(tests.instance_id(tests.tenant_a(), 'leased'), 'w');
  perform tests.remember();
end
$$;
select tests.as_owner(tests.tenant_a());
select throws_ok(
  pg_catalog.format(
    'insert into integrations_private.refresh_leases
       (tenant_id, instance_id, lease, holder, credentials_version, claimed_at, leased_until,
        failures, retry_at)
     values (%L, %L, %L, %L, 1, now(), %L, %L, %L)',
    tests.tenant_a(), tests.instance_id(tests.tenant_a(), v.name), v.lease, v.holder, v.until,
    v.failures, v.retry_at),
  v.sqlstate, null, 'the table refuses ' || v.what)
from (
  values ('a second row of an instance', 'leased', null, 'w', null, 0, null, '23505'),
         ('a row of no instance', 'none', null, 'w', null, 0, null, '23502'),
         ('a lease without an end', 'crm', tests.nobody(), 'w', null, 0, null, '23514'),
         ('an end without a lease', 'crm', null, 'w', 'infinity', 0, null, '23514'),
         ('a blank holder', 'crm', null, ' ', null, 0, null, '23514'),
         ('a long holder', 'crm', null, pg_catalog.repeat('w', 201), null, 0, null, '23514'),
         ('less than no failures', 'crm', null, 'w', null, -1, null, '23514'),
         ('a retry of what has not failed', 'crm', null, 'w', null, 0, 'infinity', '23514')
) as v (what, name, lease, holder, until, failures, retry_at, sqlstate);
select throws_ok(
  pg_catalog.format(
    $$
      insert into integrations_private.refresh_leases
        (tenant_id, instance_id, lease, holder, credentials_version, claimed_at, leased_until)
      select %L, %L, l.lease, 'w', 1, now(), 'infinity'
        from integrations_private.refresh_leases as l
    $$,
    tests.tenant_a(), tests.instance_id(tests.tenant_a(), 'crm')),
  '23505', null, 'the table refuses a lease of two instances');
select throws_ok(
  pg_catalog.format(
    $$
      insert into integrations_private.refresh_leases
        (tenant_id, instance_id, holder, credentials_version, claimed_at)
      values (%L, %L, 'w', 1, now())
    $$,
    v.tenant_id, tests.instance_id(v.owner_id)),
  v.sqlstate, null, 'the table refuses ' || v.what)
from (
  values ('a lease for another tenant', tests.tenant_b(), tests.tenant_b(), '42501'),
         ('a lease on another tenant''s instance', tests.tenant_a(), tests.tenant_b(), '23503')
) as v (what, tenant_id, owner_id, sqlstate);
select tests.unchanged('none of these is there');

select tests.as_service(tests.tenant_a());
select lives_ok(
  $$ select integrations.delete_instance(tests.instance_id(tests.tenant_a(), 'leased')) $$,
  'an instance that is leased can be deleted');
select tests.as_superuser();
select is_empty(
  'select * from integrations_private.refresh_leases', 'and its lease goes with it');

select * from finish();
rollback;
