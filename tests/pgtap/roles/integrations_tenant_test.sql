-- Tests roles/integrations_tenant.
begin;
select plan(4);

select has_role('integrations_tenant');
select results_eq(
  $$
    select r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb, r.rolreplication,
           r.rolcanlogin
      from pg_catalog.pg_roles as r
     where r.rolname = 'integrations_tenant'
  $$,
  $$ values (false, false, false, false, false, false) $$,
  'row-level security holds for it, it makes no roles or databases, and may not log in'
);
select is_empty(
  $$
    select m.roleid::regrole
      from pg_catalog.pg_auth_members as m
     where m.member = 'integrations_tenant'::regrole
  $$,
  'it is a member of no other role'
);
select isnt(
  pg_catalog.shobj_description('integrations_tenant'::regrole, 'pg_authid'), null,
  'a comment tells what it is for'
);

select * from finish();
rollback;
