-- Verify integrations:policies/read_leases on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

do $verify$
begin
  if (
    select pg_catalog.array_agg(
             pg_catalog.concat_ws(' ',
               p.polname,
               case when p.polpermissive then 'permissive' else 'restrictive' end,
               p.polcmd,
               (select pg_catalog.string_agg(r.role, ',' order by r.role)
                  from pg_catalog.unnest(p.polroles) as o (id)
                       cross join lateral (select o.id::pg_catalog.regrole::text) as r (role)),
               pg_catalog.pg_get_expr(p.polqual, p.polrelid),
               coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '-'),
               case
                 when pg_catalog.obj_description(p.oid, 'pg_policy') is null then 'no comment'
               end)
             order by p.polname)
      from pg_catalog.pg_policy as p
     where p.polrelid = pg_catalog.to_regclass('integrations_private.read_leases')
  ) is distinct from array[
    'tenant_all permissive * integrations_owner,integrations_tenant,svc_integration '
    '(tenant_id = integrations.current_tenant()) (tenant_id = integrations.current_tenant())'
  ] then
    raise exception 'verify policies/read_leases: the policies differ';
  end if;
end
$verify$;

rollback;
