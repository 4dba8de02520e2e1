-- Verify integrations:schemas/integrations on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

do $verify$
begin
  if (
    select n.nspowner = pg_catalog.to_regrole('integrations_owner')
           and pg_catalog.obj_description(n.oid, 'pg_namespace') is not null
      from pg_catalog.pg_namespace as n
     where n.nspname = 'integrations'
  ) is not true then
    raise exception
      'verify schemas/integrations: the schema is missing, or its owner or comment differ';
  end if;

  -- Exactly these may use it, and only the owner may create in it.
  if (
    select pg_catalog.array_agg(r.role order by r.role) filter (where a.privilege_type = 'USAGE')
           = array[
               'integrations_admin',
               'integrations_auditor',
               'integrations_keymaster',
               'integrations_owner',
               'integrations_tenant',
               'svc_integration'
             ]
           and pg_catalog.array_agg(r.role) filter (where a.privilege_type = 'CREATE')
               = array['integrations_owner']
      from pg_catalog.pg_namespace as n
           cross join lateral pg_catalog.aclexplode(n.nspacl) as a
           cross join lateral (
             select a.grantee::pg_catalog.regrole
                    || case when a.is_grantable then ' with grant option' else '' end
           ) as r (role)
     where n.nspname = 'integrations'
  ) is not true then
    raise exception 'verify schemas/integrations: the privileges differ';
  end if;
end
$verify$;

rollback;
