-- Tables: owner, comments, row-level security, columns, constraints, indexes, statistics.
with t as (
  select oid, oid::regclass as t, 'tables/' || relname as change, relrowsecurity, relkind
    from pg_class where relkind in ('r', 'p')
     and relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
)
select change, format('alter table %s owner to pg_monitor', t) from t
union all select change, format('comment on table %s is null', t) from t
union all select change, format('alter table %s disable row level security', t) from t
  where relrowsecurity
union all select change, format('alter table %s no force row level security', t) from t
  where relrowsecurity
union all select change, format('alter table %s add column extra text', t) from t
  where not exists (select from pg_inherits where inhrelid = t.oid)
union all select change, format('comment on column %s.%I is null', t, attname)
  from t join pg_attribute on attrelid = t.oid and attnum > 0
union all select change, format('alter table %s alter column %I drop not null', t, attname)
  from t join pg_attribute as a on attrelid = t.oid and attnum > 0 and attnotnull
 where not exists (select from pg_inherits where inhrelid = t.oid)
   and not exists (select from pg_index as i where i.indrelid = t.oid and indisprimary
                      and a.attnum = any (i.indkey))
union all select change, format('alter table %s alter column %I drop default', t, attname)
  from t join pg_attribute on attrelid = t.oid and atthasdef and attgenerated = ''
 where not exists (select from pg_inherits where inhrelid = t.oid)
union all select change, format('alter table %s drop constraint %I cascade', t, conname)
  from t join pg_constraint on conrelid = t.oid and contype <> 'n' and coninhcount = 0
union all select change, format('drop index %s', indexrelid::regclass)
  from t join pg_index on indrelid = t.oid
 where not exists (select from pg_constraint where conindid = indexrelid)
   and not exists (select from pg_inherits where inhrelid = indexrelid)
union all select change, format('alter table %s alter column %I set statistics 100', t, attname)
  from t join pg_attribute on attrelid = t.oid and attname in ('credentials', 'wrapped')
union all select change, format('comment on constraint %I on %s is null', conname, t)
  from t join pg_constraint on conrelid = t.oid and contype = 'c' and coninhcount = 0
union all select change, format('grant select on %s to public', t) from t
union all select change, format('grant select (tenant_id) on %s to public', t) from t
  where exists (select from pg_attribute where attrelid = t.oid and attname = 'tenant_id');
