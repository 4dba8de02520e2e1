-- Policies: present, to whom, their conditions, commented; and no others.
with p as (
  select 'policies/' || c.relname as change, polname, c.oid::regclass as t
    from pg_policy join pg_class as c on c.oid = polrelid
)
select change, format('drop policy %I on %s', polname, t) from p
union all select change, format('alter policy %I on %s to public', polname, t) from p
union all select change, format('comment on policy %I on %s is null', polname, t) from p
union all select change, format('alter policy %I on %s using (tenant_id is null)', polname, t) from p
union all select change, format('alter policy %I on %s with check (tenant_id is null)', polname, t)
  from p where polname not like '%select'
union all select change, format('create policy more on %s using (true)', t) from p;
