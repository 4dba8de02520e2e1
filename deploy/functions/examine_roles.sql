-- Deploy integrations:functions/examine_roles to pg
-- requires: roles/integrations_owner
-- requires: roles/integrations_keymaster
-- requires: roles/svc_integration
-- requires: roles/integrations_tenant
-- requires: roles/integrations_admin
-- requires: roles/integrations_auditor

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- By explicit membership: pg_has_role says of a superuser that it is a member of everything.
create function integrations_private.examine_roles()
returns table (
  check_name text,
  status text,
  detail text
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
begin
  return query
    with recursive package as (
      select r.oid, r.rolname
        from pg_catalog.pg_roles as r
       where r.rolname in (
               'integrations_admin', 'integrations_auditor', 'integrations_keymaster',
               'integrations_owner', 'integrations_tenant', 'svc_integration')
    ),
    -- Since 16 whoever makes a role is a member that can neither use it nor become it.
    grants as (
      select m.roleid, m.member
        from pg_catalog.pg_auth_members as m
       where coalesce((pg_catalog.to_jsonb(m) ->> 'inherit_option')::boolean, true)
          or coalesce((pg_catalog.to_jsonb(m) ->> 'set_option')::boolean, true)
    ),
    -- A package's role that may log in is one of its logins, too.
    member as (
      select p.oid as role, p.oid as member
        from package as p
      union
      select o.role, g.member
        from member as o
             join grants as g on g.roleid = o.member
    ),
    -- Who may give a role away makes himself a member of it; so does who can become him.
    admin as (
      select m.member
        from pg_catalog.pg_auth_members as m
       where m.admin_option
         and (m.roleid in (select p.oid from package as p)
              or m.roleid in (select o.member from member as o))
      union
      select g.member
        from admin as a
             join grants as g on g.roleid = a.member
    ),
    -- What a role may do by an attribute, its members may do by SET ROLE.
    power as (
      select r.oid as role, r.oid as member
        from pg_catalog.pg_roles as r
       where r.rolsuper or r.rolbypassrls or r.rolcreaterole
      union
      select o.role, m.member
        from power as o
             join pg_catalog.pg_auth_members as m on m.roleid = o.member
       where coalesce((pg_catalog.to_jsonb(m) ->> 'set_option')::boolean, true)
    ),
    person as (
      select r.oid, r.rolname, r.rolsuper,
             pg_catalog.array_agg(p.rolname::text order by p.rolname)
               filter (where p.oid is not null) as roles
        from pg_catalog.pg_roles as r
             left join member as m on m.member = r.oid
             left join package as p on p.oid = m.role
       where r.rolcanlogin
       group by r.oid, r.rolname, r.rolsuper
    )
    select c.check_name, case when c.found is null then 'ok' else c.status end,
           coalesce(c.advice || ' Found: ' || c.found || '.', c.fine)
      from (values
        ('package_roles', 'fail',
         (select pg_catalog.string_agg(r.rolname, ', ' order by r.rolname)
            from pg_catalog.pg_roles as r
                 join package as p on p.oid = r.oid
           where r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb
              or r.rolreplication),
         'Roles of the package are too powerful: row-level security does not hold them, or they'
         ' can become others. Take that away with ALTER ROLE.',
         'No role of the package is superuser, or has BYPASSRLS, CREATEROLE, CREATEDB or'
         ' REPLICATION.'),
        ('bypass_row_security', 'fail',
         (select pg_catalog.string_agg(p.rolname, ', ' order by p.rolname)
            from person as p
           where p.roles && array['svc_integration', 'integrations_tenant', 'integrations_admin',
                                  'integrations_auditor']
             and exists (
                   select
                     from power as o
                          join pg_catalog.pg_roles as r on r.oid = o.role
                    where o.member = p.oid
                      and (r.rolsuper or r.rolbypassrls))),
         'Logins of applications are not held by row-level security, or can become a role that is'
         ' not: they see every tenant. ALTER ROLE ... NOSUPERUSER NOBYPASSRLS, or revoke that'
         ' membership.',
         'Row-level security holds for every login of an application.'),
        ('owner_members', 'warn',
         (select pg_catalog.string_agg(p.rolname, ', ' order by p.rolname)
            from person as p
           where p.roles && array['integrations_owner', 'integrations_keymaster']),
         'These logins can replace every function and drop the audit log. The one that deploys'
         ' has to; keep it as safe as a superuser, and revoke the membership of others.',
         'Nobody can log in as a member of the owners.'),
        ('service_and_auditor', 'fail',
         (select pg_catalog.string_agg(p.rolname, ', ' order by p.rolname)
            from person as p
           where p.roles @> array['svc_integration', 'integrations_auditor']),
         'Policies add up: these logins read the ciphertext of all tenants. Use two logins.',
         'No login is both service and auditor.'),
        ('createrole', 'warn',
         (select pg_catalog.string_agg(p.rolname, ', ' order by p.rolname)
            from person as p
           where not p.rolsuper
             and exists (
                   select
                     from power as o
                          join pg_catalog.pg_roles as r on r.oid = o.role
                    where o.member = p.oid
                      and r.rolcreaterole)
             and pg_catalog.current_setting('server_version_num')::integer < 160000),
         'Before PostgreSQL 16 a login with CREATEROLE can make itself a member of every role, the'
         ' service and the owner included. Take it away when it is not needed.',
         'Nobody can become a member of the package''s roles by CREATEROLE alone.'),
        ('role_admins', 'warn',
         (select pg_catalog.string_agg(p.rolname, ', ' order by p.rolname)
            from person as p
           where p.oid in (select a.member from admin as a)
             and not p.rolsuper),
         'These logins can make anybody a member of the package''s roles, or of members of them,'
         ' themselves too. The one that deployed can, where it made the roles; revoke ADMIN OPTION'
         ' from others.',
         'No login may grant the package''s roles, but for superusers.'),
        ('predefined_roles', 'warn',
         (select pg_catalog.string_agg(p.rolname || ' in ' || r.rolname, ', '
                                       order by p.rolname, r.rolname)
            from person as p
                 join pg_catalog.pg_roles as r
                   on r.rolname in ('pg_write_all_data', 'pg_read_server_files',
                                    'pg_write_server_files', 'pg_execute_server_program')
           where not p.rolsuper
             and pg_catalog.pg_has_role(p.oid, r.oid, 'member')),
         'These logins can add definitions and overwrite check values of keys (pg_write_all_data),'
         ' or read and write the server''s files, and so become superuser. Revoke what is not'
         ' needed.',
         'No login writes all data, or reaches the server''s files.'),
        ('public_temp', 'warn',
         (select d.datname::text
            from pg_catalog.pg_database as d
           where d.datname = pg_catalog.current_database()
             and exists (
                   select
                     from pg_catalog.aclexplode(
                            coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) as a
                    where a.grantee = 0 and a.privilege_type = 'TEMPORARY')),
         'Everybody may make temporary tables, which can stand in for others in a careless query.'
         ' REVOKE TEMPORARY ON DATABASE ... FROM PUBLIC.',
         'Not everybody may make temporary tables.'),
        ('public_create', 'fail',
         (select pg_catalog.string_agg(o.name, ', ' order by o.name)
            from (
              select 'database ' || d.datname
                from pg_catalog.pg_database as d
                     cross join lateral pg_catalog.aclexplode(d.datacl) as a
               where d.datname = pg_catalog.current_database()
                 and a.grantee = 0 and a.privilege_type = 'CREATE'
              union all
              select 'schema ' || n.nspname
                from pg_catalog.pg_namespace as n
                     cross join lateral pg_catalog.aclexplode(n.nspacl) as a
               where a.grantee = 0 and a.privilege_type = 'CREATE'
            ) as o (name)),
         'Everybody may make objects there, and so plant functions and operators that others run.'
         ' REVOKE CREATE ON ... FROM PUBLIC.',
         'Not everybody may make schemas, or objects in one.'),
        ('logical_backup', 'warn',
         (select pg_catalog.string_agg(r.rolname, ', ' order by r.rolname)
            from pg_catalog.pg_roles as r
           where r.rolcanlogin
             and not r.rolsuper
             and not r.rolbypassrls
             and (pg_catalog.pg_has_role(r.oid, 'pg_read_all_data', 'member')
                  or exists (select from member as m
                                         join package as p on p.oid = m.role
                              where m.member = r.oid
                                and p.rolname = 'integrations_owner'))),
         'pg_dump as these stops at the first table, because row-level security is forced; with'
         ' --enable-row-security it would leave the rows out. Dump as a superuser or with'
         ' BYPASSRLS.',
         'No login looks as if it were to dump and could not.')
      ) as c (check_name, status, found, advice, fine);
end;
$function$;

alter function integrations_private.examine_roles() owner to integrations_owner;

comment on function integrations_private.examine_roles() is
$$Tells which roles have, or can get, more power than they should. Called through doctor.$$;

revoke all on function integrations_private.examine_roles() from public;
grant execute on function integrations_private.examine_roles()
to integrations_keymaster;

commit;
