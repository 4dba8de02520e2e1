-- Names that need no quotes, and that tell what they name.
begin;
select * from no_plan();

create temporary view named as
select c.relname::text as name, 'relation ' || c.oid::regclass as what
  from pg_catalog.pg_class as c
 where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
union all
select a.attname::text, 'column ' || a.attname || ' of ' || c.oid::regclass
  from pg_catalog.pg_attribute as a
       join pg_catalog.pg_class as c on c.oid = a.attrelid
 where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
   and c.relkind not in ('i', 'I')
   and a.attnum > 0
   and not a.attisdropped
union all
select o.conname::text, 'constraint ' || o.conname || ' of ' || o.conrelid::regclass
  from pg_catalog.pg_constraint as o
 where o.connamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
union all
select t.typname::text, 'type ' || t.oid::regtype
  from pg_catalog.pg_type as t
 where t.typnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
union all
select e.enumlabel::text, 'label ' || e.enumlabel || ' of ' || t.oid::regtype
  from pg_catalog.pg_enum as e
       join pg_catalog.pg_type as t on t.oid = e.enumtypid
 where t.typnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
union all
select p.proname::text, 'function ' || p.oid::regprocedure
  from pg_catalog.pg_proc as p
 where p.pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
union all
select a.name, 'parameter ' || a.name || ' of ' || p.oid::regprocedure
  from pg_catalog.pg_proc as p
       cross join pg_catalog.unnest(p.proargnames) as a (name)
 where p.pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
union all
select t.tgname::text, 'trigger ' || t.tgname || ' on ' || c.oid::regclass
  from pg_catalog.pg_trigger as t
       join pg_catalog.pg_class as c on c.oid = t.tgrelid
 where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
   and not t.tgisinternal
union all
select p.polname::text, 'policy ' || p.polname || ' on ' || c.oid::regclass
  from pg_catalog.pg_policy as p
       join pg_catalog.pg_class as c on c.oid = p.polrelid
 where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace);

select is_empty(
  $$
    select n.what
      from pg_temp.named as n
     where n.name !~ '^[a-z_][a-z0-9_]*$'
  $$,
  'names are of lower-case letters, digits and underscores');
select is_empty(
  $$
    select n.what
      from pg_temp.named as n
           join pg_catalog.pg_get_keywords() as k on k.word = n.name
     -- What a name of its own has is qualified, or stands where any word may: only these need
     -- quotes.
     where k.catcode in ('R', 'T')
  $$,
  'no name is a reserved word');
select is_empty(
  $$ select n.what from pg_temp.named as n where pg_catalog.length(n.name) >= 63 $$,
  'no name was cut off');

select matches(
  i.indexrelid::regclass::text, '_(pkey|key|idx)$', i.indexrelid::regclass || ' says what it is')
from pg_catalog.pg_index as i
     join pg_catalog.pg_class as c on c.oid = i.indexrelid
where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
order by i.indexrelid::regclass::text;
select is_empty(
  $$
    select p.polrelid::regclass, p.polname
      from pg_catalog.pg_policy as p
           join pg_catalog.pg_class as c on c.oid = p.polrelid
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.polname !~ ('^[a-z]+_' || case p.polcmd
                           when '*' then 'all'
                           when 'r' then 'select'
                           when 'a' then 'insert'
                           when 'w' then 'update'
                           when 'd' then 'delete'
                         end || '$')
  $$,
  'the name of a policy ends in its command');
select is_empty(
  $$
    select t.tgrelid::regclass, t.tgname
      from pg_catalog.pg_trigger as t
           join pg_catalog.pg_class as c on c.oid = t.tgrelid
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and not t.tgisinternal
       and t.tgname !~ '^_[1-9][0-9]0_[a-z_]+$'
  $$,
  'the name of a trigger says when it fires: they fire in the order of their names');
select set_eq(
  $$
    select p.oid::regprocedure::text
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and (p.prorettype = 'trigger'::regtype) <> (p.proname ~ '^tg_[a-z_]+__[a-z_]+$')
  $$,
  array[]::text[],
  'trigger functions, and no others, are called tg_TABLE__TASK');
-- Times end in _at, but for the log's own and the end of a lease.
select set_eq(
  $$
    select a.attrelid::regclass::text, a.attname::text
      from pg_catalog.pg_attribute as a
           join pg_catalog.pg_class as c on c.oid = a.attrelid
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and c.relkind in ('r', 'p', 'v')
       and not c.relispartition
       and a.attnum > 0
       and not a.attisdropped
       and (a.atttypid = 'timestamptz'::regtype) <> (a.attname ~ '_at$')
  $$,
  $$
    values ('integrations.audit_trail', 'at'),
           ('integrations_private.audit_log', 'at'),
           ('integrations_private.refresh_leases', 'leased_until')
  $$,
  'a time is called so');

select * from finish();
rollback;
