-- Tests tables/tenant_keys.
begin;
select plan(22);

select columns_are(
  'integrations_private', 'tenant_keys',
  array[
    'tenant_id', 'id', 'version', 'kek_id', 'wrapped', 'check_value', 'state', 'created_at',
    'updated_at'
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
     where a.attrelid = 'integrations_private.tenant_keys'::regclass
       and a.attnum > 0
       and not a.attisdropped
     order by a.attnum
  $$,
  $$
    values ('tenant_id', 'uuid', true, null),
           ('id', 'uuid', true, 'gen_random_uuid()'),
           ('version', 'integer', true, null),
           ('kek_id', 'text', true, null),
           ('wrapped', 'bytea', false, null),
           ('check_value', 'bytea', true, null),
           ('state', 'integrations_private.tenant_key_state', true,
            '''active''::integrations_private.tenant_key_state'),
           ('created_at', 'timestamp with time zone', true, 'now()'),
           ('updated_at', 'timestamp with time zone', true, 'now()')
  $$,
  'its columns are in this order, of these types, with these defaults'
);
select table_owner_is(
  'integrations_private', 'tenant_keys', 'integrations_owner', 'its owner');
select col_is_pk(
  'integrations_private', 'tenant_keys', array['tenant_id', 'id'],
  'its primary key');
select col_is_unique(
  'integrations_private', 'tenant_keys', array['tenant_id', 'version'],
  'its unique key');
select fk_ok(
  'integrations_private', 'tenant_keys', 'kek_id',
  'integrations_private', 'key_encryption_keys', 'kek_id');
select indexes_are(
  'integrations_private', 'tenant_keys',
  array[
    'tenant_keys_pkey', 'tenant_keys_tenant_id_version_key', 'tenant_keys_tenant_id_active_idx',
    'tenant_keys_kek_id_idx'
  ]);
select index_is_unique(
  'integrations_private', 'tenant_keys', 'tenant_keys_tenant_id_active_idx');
select set_eq(
  $$
    -- Since PostgreSQL 18 NOT NULL is a constraint too.
    select c.conname::text
      from pg_catalog.pg_constraint as c
     where c.conrelid = 'integrations_private.tenant_keys'::regclass
       and c.contype <> 'n'
  $$,
  array[
    'tenant_keys_check_value_is_mac',
    'tenant_keys_destroyed_has_no_key',
    'tenant_keys_kek_id_fkey',
    'tenant_keys_pkey',
    'tenant_keys_tenant_id_version_key',
    'tenant_keys_version_is_positive'
  ],
  'its constraints are these'
);

do $$
begin
  perform tests.a_key(tests.tenant_a());
  perform tests.remember();
end
$$;
select tests.as_owner(tests.tenant_a());
select throws_ok(
  pg_catalog.format(
    'insert into integrations_private.tenant_keys
       (tenant_id, version, kek_id, wrapped, check_value, state)
     values (%L, %L, %L, %L, %L, %L)',
    tests.tenant_a(), v.version, v.kek_id, v.wrapped, v.check_value, v.state),
  v.sqlstate, null, 'the table refuses ' || v.what)
from (
  values ('a second active key', 2, 'kek-1', '\x00', '\x00112233445566778899aabbccddeeff',
          'active', '23505'),
         ('a version twice', 1, 'kek-1', '\x00', '\x00112233445566778899aabbccddeeff', 'retired',
          '23505'),
         ('version 0', 0, 'kek-1', '\x00', '\x00112233445566778899aabbccddeeff', 'retired',
          '23514'),
         ('an unknown KEK', 2, 'kek-9', '\x00', '\x00112233445566778899aabbccddeeff', 'retired',
          '23503'),
         ('a short check value', 2, 'kek-1', '\x00', '\x00', 'retired', '23514'),
         ('a destroyed key with material', 2, 'kek-1', '\x00',
          '\x00112233445566778899aabbccddeeff', 'destroyed', '23514'),
         ('a retired key without material', 2, 'kek-1', null,
          '\x00112233445566778899aabbccddeeff', 'retired', '23514')
) as v (what, version, kek_id, wrapped, check_value, state, sqlstate);
select throws_ok(
  pg_catalog.format(
    'insert into integrations_private.tenant_keys
       (tenant_id, version, kek_id, wrapped, check_value)
     values (%L, 1, ''kek-1'', ''\x00'', ''\x00112233445566778899aabbccddeeff'')', v.tenant_id),
  v.sqlstate, null, 'the table refuses ' || v.what)
from (
  values ('a key of nobody', null, '42501'),
         ('a key of another tenant', tests.tenant_b(), '42501')
) as v (what, tenant_id, sqlstate);
select tests.unchanged('none of these is there');
select throws_ok(
  $$ update integrations_private.tenant_keys set tenant_id = tests.tenant_b() $$, '42501', null,
  'a key cannot be moved to another tenant');
select tests.unchanged('it is where it was');

select * from finish();
rollback;
