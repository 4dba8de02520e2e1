-- Rules for every table and its indexes, partitions included.
begin;
select * from no_plan();

create temporary view package_table as
select c.*, c.oid::regclass::text as name
  from pg_catalog.pg_class as c
 where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
   and c.relkind in ('r', 'p');

select ok(
  exists (select from pg_catalog.pg_index as i where i.indrelid = t.oid and i.indisprimary),
  t.name || ' has a primary key')
from pg_temp.package_table as t
order by t.name;
-- After a crash an unlogged table is empty: keys would be gone, and what they encrypt with them.
select is(t.relpersistence, 'p', t.name || ' survives a crash')
from pg_temp.package_table as t
order by t.name;
select set_eq(
  $$
    select t.name, o
      from pg_temp.package_table as t
           cross join pg_catalog.unnest(t.reloptions) as o
  $$,
  $$
    values ('integrations.integration_instances', 'fillfactor=90'),
           ('integrations_private.refresh_leases', 'fillfactor=90'),
           ('integrations_private.tenant_keys', 'fillfactor=25')
  $$,
  'no table has other settings, such as one that turns autovacuum off');

-- A closed world: timestamps know their zone, documents are jsonb, characters are counted by
-- checks and not by char(n), and no type stands for an object that pg_upgrade cannot carry over.
select set_eq(
  $$
    select distinct a.atttypid::regtype::text
      from pg_catalog.pg_attribute as a
           join pg_temp.package_table as t on t.oid = a.attrelid
     where a.attnum > 0
       and not a.attisdropped
  $$,
  array[
    'uuid', 'text', 'character varying', 'integer', 'bytea', 'jsonb', 'timestamp with time zone',
    'xid8',  -- the transaction that opened a lease
    'integrations.integration_definition_status', 'integrations.integration_instance_status',
    'integrations_private.tenant_key_state'
  ],
  'columns are of these types');
select is_empty(
  $$
    select t.name, a.attname
      from pg_catalog.pg_attribute as a
           join pg_temp.package_table as t on t.oid = a.attrelid
     where a.attnum > 0
       and a.attidentity <> ''
  $$,
  'no id is a number that tells how many there are');

create temporary view package_index as
select i.*, i.indexrelid::regclass::text as name, t.name as table_name,
       (i.indkey::smallint[])[0:i.indnkeyatts - 1] as columns,
       pg_catalog.pg_get_expr(i.indexprs, i.indrelid) as expressions,
       pg_catalog.pg_get_expr(i.indpred, i.indrelid) as condition
  from pg_catalog.pg_index as i
       join pg_temp.package_table as t on t.oid = i.indrelid;

select ok(
  i.indisvalid and i.indisready and i.indislive, i.name || ' was built to its end')
from pg_temp.package_index as i
order by i.name;
-- Each write pays for both, and no read needs the shorter one.
select is_empty(
  $$
    select i.name, 'is the beginning of' as is_, other.name
      from pg_temp.package_index as i
           join pg_temp.package_index as other
             on other.indrelid = i.indrelid and other.indexrelid <> i.indexrelid
     where other.columns[1:pg_catalog.cardinality(i.columns)] = i.columns
       and other.condition is not distinct from i.condition
       and other.expressions is not distinct from i.expressions
       -- A unique index is a rule, unless the other one says the same.
       and (not i.indisunique or (other.indisunique and other.columns = i.columns))
  $$,
  'no index is the same as another one, or its beginning');

select * from finish();
rollback;
