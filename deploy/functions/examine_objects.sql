-- Deploy integrations:functions/examine_objects to pg
-- requires: schemas/integrations
-- requires: schemas/integrations_private
-- requires: extensions/pgcrypto
-- requires: tables/integration_instances

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- The package's own objects, as somebody may have left them: verify says more, this says it to who
-- cannot run it. It compares names as text: the session's way to quote them must not matter.
create function integrations_private.examine_objects()
returns table (
  check_name text,
  status text,
  detail text
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set quote_all_identifiers = off
as $function$
begin
  return query
    with function as (
      select p.*
        from pg_catalog.pg_proc as p
       where p.pronamespace in (pg_catalog.to_regnamespace('integrations'),
                                pg_catalog.to_regnamespace('integrations_private'))
    ),
    relation as (
      select c.*
        from pg_catalog.pg_class as c
       where c.relnamespace in (pg_catalog.to_regnamespace('integrations'),
                                pg_catalog.to_regnamespace('integrations_private'))
    )
    select c.check_name, case when c.found is null then 'ok' else c.status end,
           coalesce(c.advice || ' Found: ' || c.found || '.', c.fine)
      from (values
        ('definer_functions', 'fail',
         (select pg_catalog.string_agg(f.oid::regprocedure::text, ', ' order by f.proname)
            from function as f
           where f.prosecdef
             and (f.proconfig is distinct from array[
                    'search_path=pg_catalog, pg_temp', 'row_security=on',
                    'plpgsql.print_strict_params=off', 'debug_print_plan=off',
                    'debug_print_parse=off', 'debug_print_rewritten=off']
                  or f.proowner::regrole::text not in (
                       'integrations_owner', 'integrations_keymaster'))),
         'Functions that run as their owner have lost their settings or their owner: a caller may'
         ' lead them astray. Deploy them again.',
         'Every function that runs as its owner has its settings.'),
        ('search_path', 'fail',
         (select pg_catalog.string_agg(f.oid::regprocedure::text, ', ' order by f.proname)
            from function as f
           where f.prosqlbody is null
             and not coalesce('search_path=pg_catalog, pg_temp' = any (f.proconfig), false)),
         'Functions look names up where their caller says. Deploy them again.',
         'Every function looks names up where nobody else can put any.'),
        ('public_functions', 'fail',
         (select pg_catalog.string_agg(
                   f.oid::regprocedure::text || ' to '
                   || case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end,
                   ', ' order by f.proname, a.grantee)
            from function as f
                 cross join lateral pg_catalog.aclexplode(
                   coalesce(f.proacl, pg_catalog.acldefault('f', f.proowner))) as a
           where a.grantee not in ('integrations_owner'::regrole, 'integrations_keymaster'::regrole)
             and (case
                    when a.grantee = 0 then false
                    when f.pronamespace = pg_catalog.to_regnamespace('integrations_private')
                      then a.grantee = 'integrations_admin'::regrole and f.proname = 'list_keys'
                    when a.grantee = 'svc_integration'::regrole
                      then f.proname not in (
                             'destroy_key', 'discard_draft', 'doctor', 'maintain_audit',
                             'register_definition', 'retire_key', 'rewrap_keys',
                             'set_definition_status')
                    when a.grantee = 'integrations_tenant'::regrole
                      then f.proname in (
                             'create_instance', 'current_tenant', 'delete_instance',
                             'rename_instance', 'set_instance_status', 'set_tenant',
                             'update_config', 'upgrade_instance')
                    when a.grantee = 'integrations_admin'::regrole
                      then f.proname in (
                             'create_tenant_key', 'current_tenant', 'destroy_key', 'discard_draft',
                             'doctor', 'maintain_audit', 'register_definition', 'retire_key',
                             'rewrap_keys', 'set_definition_status', 'set_tenant')
                  end) is not true),
         'Others may call these than they are meant for. REVOKE ALL ON FUNCTION ... FROM ...; a'
         ' login gets in as a member of the package''s roles.',
         'Nobody may call a function but those that it is meant for.'),
        ('row_security', 'fail',
         (select pg_catalog.string_agg(r.oid::regclass::text, ', ' order by r.relname)
            from relation as r
                 join pg_catalog.pg_attribute as t
                   on t.attrelid = r.oid and t.attname = 'tenant_id'
           where (r.relkind in ('r', 'p') and not (r.relrowsecurity and r.relforcerowsecurity))
              or (r.relkind = 'v'
                  and not coalesce('security_invoker=true' = any (r.reloptions), false))
              or r.relkind = 'm'),
         'Tenants are not kept apart there. Enable and force row-level security on tables; views'
         ' must be security_invoker.',
         'Row-level security is enabled and forced on every table with a tenant.'),
        -- Any other may let rows out; what auditor and keymaster may do is up to privileges.
        ('policies', 'fail',
         (select pg_catalog.string_agg(
                   p.polrelid::regclass || '.' || p.polname, ', ' order by p.polname)
            from pg_catalog.pg_policy as p
                 join relation as r on r.oid = p.polrelid
           where not coalesce(
                   p.polname = 'auditor_select'
                   and p.polroles = array['integrations_auditor'::regrole::oid]
                   or p.polname in ('keymaster_select', 'keymaster_all')
                   and p.polroles = array['integrations_keymaster'::regrole::oid]
                   or p.polname = 'tenant_all'
                   and p.polroles <@ array[
                         'integrations_owner'::regrole::oid, 'integrations_tenant'::regrole::oid,
                         'svc_integration'::regrole::oid]
                   and pg_catalog.pg_get_expr(p.polqual, p.polrelid)
                       = '(tenant_id = integrations.current_tenant())'
                   and pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid)
                       = '(tenant_id = integrations.current_tenant())',
                   false)),
         'Policies were added or changed: permissive ones add up, so that one is enough to show a'
         ' tenant the rows of others. DROP POLICY, or deploy it again.',
         'Every policy is as it was deployed.'),
        ('table_privileges', 'fail',
         (select pg_catalog.string_agg(distinct
                   p.relation || ' to '
                   || case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end,
                   ', ')
            from (
              select r.oid::regclass::text as relation, r.relacl as acl, r.relnamespace
                from relation as r
              union all
              select r.oid::regclass::text, t.attacl, r.relnamespace
                from relation as r
                     join pg_catalog.pg_attribute as t on t.attrelid = r.oid
            ) as p
            cross join lateral pg_catalog.aclexplode(p.acl) as a
           where a.grantee not in ('integrations_owner'::regrole, 'integrations_keymaster'::regrole)
             and (a.privilege_type in (
                    'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER')
                  or (a.grantee in (
                        0::oid, 'svc_integration'::regrole, 'integrations_tenant'::regrole,
                        'integrations_admin'::regrole, 'integrations_auditor'::regrole)
                      and p.relnamespace = pg_catalog.to_regnamespace('integrations_private')
                      and (a.grantee, p.relation) is distinct from (
                            'integrations_auditor'::regrole::oid,
                            'integrations_private.audit_log')))),
         'Rows change through functions only, which check and audit, and keys and leases are read'
         ' by them alone. REVOKE these privileges.',
         'Nobody writes a table, or reads an internal one, but through functions.'),
        ('foreign_code', 'warn',
         (select pg_catalog.string_agg(f.name, ', ' order by f.name)
            from (
              select t.tgrelid::regclass || '.' || t.tgname
                from pg_catalog.pg_trigger as t
                     join relation as r on r.oid = t.tgrelid
               where not t.tgisinternal
                 and not exists (select from function as f where f.oid = t.tgfoid)
              union all
              select r.oid::regclass || '.' || w.rulename
                from pg_catalog.pg_rewrite as w
                     join relation as r on r.oid = w.ev_class
               where r.relkind in ('r', 'p')
            ) as f (name)),
         'Triggers or rules of others act on the package''s tables: they can copy rows, or keep'
         ' audit entries from being written. Drop those that nobody needs.',
         'No trigger or rule of others acts on a table.'),
        ('statistics', 'warn',
         (select pg_catalog.string_agg(
                   t.attrelid::regclass || '.' || t.attname, ', ' order by t.attname)
            from pg_catalog.pg_attribute as t
                 join relation as r on r.oid = t.attrelid and r.relkind = 'r'
           where t.attname in ('credentials', 'wrapped', 'check_value')
             and r.relname in ('integration_instances', 'tenant_keys')
             and t.attstattarget is distinct from 0),
         'ANALYZE copies ciphertext into pg_statistic, where it outlasts revocation and destroyed'
         ' keys. ALTER TABLE ... ALTER COLUMN ... SET STATISTICS 0, then ANALYZE.',
         'ANALYZE keeps no ciphertext.'),
        ('append_only', 'fail',
         (select pg_catalog.string_agg(i.relid::regclass::text, ', ' order by i.relid::text)
            from pg_catalog.pg_partition_tree('integrations_private.audit_log') as i
           where (select pg_catalog.count(*)
                    from pg_catalog.pg_trigger as t
                   where t.tgrelid = i.relid
                     and t.tgenabled = 'A'
                     and t.tgfoid::regproc::text = 'integrations_private.tg_audit_log__append_only')
                 <> 2),
         'Audit entries can be changed or deleted: a trigger is missing, or not enabled always.'
         ' Deploy it again, and compare with a copy of the log.',
         'Every partition of the audit log is append-only.'),
        ('triggers', 'fail',
         (select pg_catalog.string_agg(
                   t.tgrelid::regclass || '.' || t.tgname, ', ' order by t.tgname)
            from pg_catalog.pg_trigger as t
                 join relation as r on r.oid = t.tgrelid
           where not t.tgisinternal
             and t.tgenabled <> 'A'),
         'These triggers do not fire always. ALTER TABLE ... ENABLE ALWAYS TRIGGER.',
         'Every trigger fires always.'),
        ('credentials_readers', 'fail',
         (select pg_catalog.string_agg(distinct
                   case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end, ', ')
            from (
              select r.relacl
                from relation as r
               where r.oid = 'integrations.integration_instances'::regclass
              union all
              select t.attacl
                from relation as r
                     join pg_catalog.pg_attribute as t on t.attrelid = r.oid
               where r.oid = 'integrations.integration_instances'::regclass
                 and t.attname = 'credentials'
            ) as p
            cross join lateral pg_catalog.aclexplode(p.relacl) as a
           where a.privilege_type = 'SELECT'
             and a.grantee not in ('integrations_owner'::regrole, 'svc_integration'::regrole)),
         'Others than svc_integration may read the ciphertext. REVOKE SELECT.',
         'Only svc_integration may read the ciphertext.'),
        ('pgcrypto_schema', 'fail',
         (select pg_catalog.string_agg(distinct
                   n.nspname || ' by '
                   || case when a.grantee = 0 then 'PUBLIC' else a.grantee::regrole::text end,
                   ', ')
            from pg_catalog.pg_extension as e
                 join pg_catalog.pg_namespace as n
                   on n.oid = e.extnamespace
                      or n.nspname in ('integrations', 'integrations_private')
                 cross join lateral pg_catalog.aclexplode(n.nspacl) as a
           where e.extname = 'pgcrypto'
             and a.privilege_type = 'CREATE'
             and a.grantee <> case
                   when n.oid = e.extnamespace then n.nspowner
                   else 'integrations_owner'::regrole::oid
                 end),
         'Others can put functions beside those of pgcrypto or of the package, to be called in'
         ' their place, as the owner. REVOKE CREATE ON SCHEMA.',
         'Nobody can put functions beside those of pgcrypto or of the package.'),
        ('default_privileges', 'fail',
         (select pg_catalog.string_agg(distinct d.defaclrole::regrole::text, ', ')
            from pg_catalog.pg_default_acl as d
           where d.defaclrole in (pg_catalog.to_regrole('integrations_owner'),
                                  pg_catalog.to_regrole('integrations_keymaster'))
              or d.defaclnamespace in (pg_catalog.to_regnamespace('integrations'),
                                       pg_catalog.to_regnamespace('integrations_private'))),
         'New objects of these roles are given to others at once. ALTER DEFAULT PRIVILEGES ...'
         ' REVOKE.',
         'New objects are given to nobody.')
      ) as c (check_name, status, found, advice, fine);
end;
$function$;

alter function integrations_private.examine_objects() owner to integrations_owner;

comment on function integrations_private.examine_objects() is
$$Tells which objects of the package are not as they were deployed, as far as tenants and secrets
are in danger. Called through doctor.$$;

revoke all on function integrations_private.examine_objects() from public;
grant execute on function integrations_private.examine_objects()
to integrations_keymaster;

commit;
