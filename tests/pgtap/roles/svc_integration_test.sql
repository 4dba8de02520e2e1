-- Tests roles/svc_integration.
begin;
select plan(5);

select has_role('svc_integration');
select results_eq(
  $$
    select r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolcreatedb, r.rolreplication,
           r.rolcanlogin
      from pg_catalog.pg_roles as r
     where r.rolname = 'svc_integration'
  $$,
  $$ values (false, false, false, false, false, true) $$,
  'row-level security holds for it, it makes no roles or databases, and may log in'
);
select is_empty(
  $$
    select m.roleid::regrole
      from pg_catalog.pg_auth_members as m
     where m.member = 'svc_integration'::regrole
  $$,
  'it is a member of no other role'
);
select isnt(
  pg_catalog.shobj_description('svc_integration'::regrole, 'pg_authid'), null,
  'a comment tells what it is for'
);
-- Its members, or a password that a DBA sets, are the way in.
select is(
  (select a.rolpassword from pg_catalog.pg_authid as a where a.rolname = 'svc_integration'),
  null, 'it has no password'
);

select * from finish();
rollback;
