-- Tests tables/key_encryption_keys.
begin;
select plan(13);

select columns_are(
  'integrations_private', 'key_encryption_keys', array['kek_id', 'check_value', 'created_at']);
select results_eq(
  $$
    select a.attname::text collate "default",
           pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
           case when a.attgenerated = '' then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end
             collate "default"
      from pg_catalog.pg_attribute as a
           left join pg_catalog.pg_attrdef as d
             on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = 'integrations_private.key_encryption_keys'::regclass
       and a.attnum > 0
       and not a.attisdropped
     order by a.attnum
  $$,
  $$
    values ('kek_id', 'text', true, null),
           ('check_value', 'bytea', false, null),
           ('created_at', 'timestamp with time zone', true, 'now()')
  $$,
  'its columns are in this order, of these types, with these defaults'
);
select table_owner_is(
  'integrations_private', 'key_encryption_keys', 'integrations_owner', 'its owner');
select col_is_pk(
  'integrations_private', 'key_encryption_keys', 'kek_id',
  'its primary key');
select indexes_are(
  'integrations_private', 'key_encryption_keys', array['key_encryption_keys_pkey']);
select set_eq(
  $$
    -- Since PostgreSQL 18 NOT NULL is a constraint too.
    select c.conname::text
      from pg_catalog.pg_constraint as c
     where c.conrelid = 'integrations_private.key_encryption_keys'::regclass
       and c.contype <> 'n'
  $$,
  array[
    'key_encryption_keys_check_value_is_mac',
    'key_encryption_keys_kek_id_is_valid',
    'key_encryption_keys_pkey'
  ],
  'its constraints are these'
);

select tests.as_owner();
select throws_ok(
  pg_catalog.format(
    'insert into integrations_private.key_encryption_keys (kek_id, check_value) values (%L, %L)',
    v.kek_id, v.check_value),
  v.sqlstate, null, 'the table refuses ' || v.what)
from (
  values ('a null name', null, tests.kek(), '23502'),
         ('a blank name', ' ', tests.kek(), '23514'),
         ('a name of 201 characters', pg_catalog.repeat('k', 201), tests.kek(), '23514'),
         ('half a check value', 'kek-1', pg_catalog.substr(tests.kek(), 1, 16), '23514')
) as v (what, kek_id, check_value, sqlstate);
select lives_ok(
  $$
    insert into integrations_private.key_encryption_keys (kek_id, check_value)
    values ('kms', null)
  $$,
  'the table takes the name of a KEK without a check value');
select results_eq(
  'select kek_id from integrations_private.key_encryption_keys', array['kms'], 'and only that');

select * from finish();
rollback;
