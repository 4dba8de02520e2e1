-- Verify integrations:policies/audit_log on pg

begin;
set local search_path = pg_catalog, pg_temp;

do $verify$
begin
  if (
    select pg_catalog.array_agg(
             pg_catalog.concat_ws(' ',
               p.polname,
               p.polcmd,
               (select pg_catalog.string_agg(r.rolname, ',' order by r.rolname)
                  from pg_catalog.pg_roles as r
                 where r.oid = any (p.polroles)),
               pg_catalog.pg_get_expr(p.polqual, p.polrelid),
               coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '-'))
             order by p.polname)
           filter (where p.polpermissive
                         and pg_catalog.obj_description(p.oid, 'pg_policy') is not null)
      from pg_catalog.pg_policy as p
     where p.polrelid = pg_catalog.to_regclass('integrations_private.audit_log')
  ) is distinct from array[
    'auditor_select r integrations_auditor '
    'true -',
    'keymaster_all * integrations_keymaster '
    'true true',
    'tenant_all * integrations_owner,integrations_tenant,svc_integration '
    '(tenant_id = integrations.current_tenant()) (tenant_id = integrations.current_tenant())'
  ] then
    raise exception 'verify policies/audit_log: the policies differ';
  end if;
end
$verify$;

rollback;
