-- A comment on everything that a person may meet. One assertion each, so that the name is told.
begin;
select * from no_plan();

select isnt(
  pg_catalog.obj_description(n.oid, 'pg_namespace'), null,
  'schema ' || n.nspname || ' has a comment')
from pg_catalog.pg_namespace as n
where n.nspname in ('integrations', 'integrations_private')
order by n.nspname;

select isnt(
  pg_catalog.shobj_description(r.oid, 'pg_authid'), null, 'role ' || r.rolname || ' has a comment')
from pg_catalog.pg_roles as r
where r.rolname in (
        'integrations_admin', 'integrations_auditor', 'integrations_keymaster',
        'integrations_owner', 'integrations_tenant', 'svc_integration')
order by r.rolname;

-- Primary keys speak for themselves, and so do their indexes and those of unique constraints. The
-- index of a partition has its comment from its parent.
select isnt(
  pg_catalog.obj_description(c.oid, 'pg_class'), null,
  c.oid::regclass || ' has a comment')
from pg_catalog.pg_class as c
where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and not exists (select from pg_catalog.pg_constraint as o where o.conindid = c.oid)
  and not (c.relkind = 'i' and c.relispartition)
order by c.oid::regclass::text;

select isnt(
  pg_catalog.col_description(a.attrelid, a.attnum), null,
  'column ' || a.attrelid::regclass || '.' || a.attname || ' has a comment')
from pg_catalog.pg_attribute as a
     join pg_catalog.pg_class as c on c.oid = a.attrelid
where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and c.relkind in ('r', 'p', 'v')
  and a.attnum > 0
  and not a.attisdropped
order by a.attrelid::regclass::text, a.attnum;

select isnt(
  pg_catalog.obj_description(t.oid, 'pg_type'), null, 'type ' || t.oid::regtype || ' has a comment')
from pg_catalog.pg_type as t
where t.typnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and t.typtype = 'e'
order by t.oid::regtype::text;

-- A rule is a check, a unique or a foreign key. A partition has its from its parent.
select isnt(
  pg_catalog.obj_description(o.oid, 'pg_constraint'), null,
  'constraint ' || o.conname || ' has a comment')
from pg_catalog.pg_constraint as o
where o.connamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and o.contype in ('c', 'u', 'f', 'x')
  and o.coninhcount = 0
order by o.conname;

select isnt(
  pg_catalog.obj_description(p.oid, 'pg_proc'), null,
  'function ' || p.oid::regprocedure || ' has a comment')
from pg_catalog.pg_proc as p
where p.pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
order by p.oid::regprocedure::text;

-- The clone of a parent's trigger has none of its own.
select isnt(
  pg_catalog.obj_description(t.oid, 'pg_trigger'), null,
  'trigger ' || t.tgname || ' on ' || t.tgrelid::regclass || ' has a comment')
from pg_catalog.pg_trigger as t
     join pg_catalog.pg_class as c on c.oid = t.tgrelid
where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and not t.tgisinternal
  and t.tgparentid = 0
order by t.tgrelid::regclass::text, t.tgname;

select isnt(
  pg_catalog.obj_description(p.oid, 'pg_policy'), null,
  'policy ' || p.polname || ' on ' || p.polrelid::regclass || ' has a comment')
from pg_catalog.pg_policy as p
     join pg_catalog.pg_class as c on c.oid = p.polrelid
where c.relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
order by p.polrelid::regclass::text, p.polname;

-- The comment of a callable function tells who may call it, and that is true.
select is(
  (select pg_catalog.string_agg(r, ', ' order by r)
     from pg_catalog.regexp_split_to_table(
            (pg_catalog.regexp_match(
               pg_catalog.obj_description(p.oid, 'pg_proc'), 'Callable by ([a-z_, \n]+)[.]'))[1],
            ',\s*') as r),
  (select pg_catalog.string_agg(x.grantee::regrole::text, ', ' order by x.grantee::regrole::text)
     from pg_catalog.aclexplode(p.proacl) as x
    where x.grantee <> p.proowner),
  'the comment of ' || p.proname || ' names its callers')
from pg_catalog.pg_proc as p
where p.pronamespace = 'integrations'::regnamespace
order by p.proname;

-- What a function raises itself, its comment lists.
select matches(
  pg_catalog.obj_description(p.oid, 'pg_proc'), 'Errors:.*' || c.code,
  'the comment of ' || p.proname || ' tells of ' || c.code)
from pg_catalog.pg_proc as p
     cross join lateral (
       select distinct m[1] as code
         from pg_catalog.regexp_matches(p.prosrc, 'errcode = ''([A-Z0-9]{5})''', 'g') as m
     ) as c
where p.pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
order by p.proname, c.code;

select * from finish();
rollback;
