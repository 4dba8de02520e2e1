-- Keys and constraints.
begin;
select * from no_plan();

select matches(
  o.conname::text, '^' || c.relname || '_[a-z_]+$',
  'constraint ' || o.conname || ' is named after its table')
from pg_catalog.pg_constraint as o
     join pg_catalog.pg_class as c on c.oid = o.conrelid
where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and o.contype <> 'n'
  -- A partition has its constraints from its parent, under the parent's names where it can.
  and o.coninhcount = 0
order by o.conname;
-- PostgreSQL would have made these names up.
select is_empty(
  $$
    select o.conname
      from pg_catalog.pg_constraint as o
     where o.connamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and o.contype = 'c'
       and o.conname ~ '_check[0-9]*$'
  $$,
  'every check was given a name that tells its rule');
select is_empty(
  $$
    select o.conname
      from pg_catalog.pg_constraint as o
     where o.connamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and not o.convalidated
  $$,
  'every constraint holds for every row');

-- Without an index, a change in the referenced table reads the whole referencing one.
select ok(
  exists (
    select
      from pg_catalog.pg_index as i
     where i.indrelid = o.conrelid
       and i.indpred is null
       and (i.indkey::smallint[])[0:pg_catalog.cardinality(o.conkey) - 1] @> o.conkey
  ),
  'an index serves the foreign key ' || o.conname)
from pg_catalog.pg_constraint as o
where o.connamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and o.contype = 'f'
order by o.conname;

-- Checks of unique and foreign keys do not know row-level security: a key that does not begin with
-- the tenant tells one tenant of another.
select is(
  (select a.attname::text
     from pg_catalog.pg_attribute as a
    where a.attrelid = i.indrelid
      and a.attnum = i.indkey[0]),
  'tenant_id', 'the unique index ' || i.indexrelid::regclass || ' begins with the tenant')
from pg_catalog.pg_index as i
     join pg_catalog.pg_class as c on c.oid = i.indrelid
     join pg_catalog.pg_attribute as t on t.attrelid = c.oid and t.attname = 'tenant_id'
where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and i.indisunique
order by i.indexrelid::regclass::text;
select is(
  (select pg_catalog.array_agg(a.attname::text)
     from pg_catalog.pg_attribute as a
    where (a.attrelid = o.conrelid and a.attnum = o.conkey[1])
       or (a.attrelid = o.confrelid and a.attnum = o.confkey[1])),
  array['tenant_id', 'tenant_id'],
  'the foreign key ' || o.conname || ' begins with the tenant on both sides')
from pg_catalog.pg_constraint as o
     join pg_catalog.pg_attribute as t on t.attrelid = o.conrelid and t.attname = 'tenant_id'
     join pg_catalog.pg_attribute as r on r.attrelid = o.confrelid and r.attname = 'tenant_id'
where o.connamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and o.contype = 'f'
order by o.conname;
select ok(
  a.attnotnull, 'tenant_id of ' || a.attrelid::regclass || ' is never null')
from pg_catalog.pg_attribute as a
     join pg_catalog.pg_class as c on c.oid = a.attrelid
where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and c.relkind in ('r', 'p')
  and a.attname = 'tenant_id'
order by a.attrelid::regclass::text;

select * from finish();
rollback;
