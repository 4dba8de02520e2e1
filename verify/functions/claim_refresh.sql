-- Verify integrations:functions/claim_refresh on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;
set local intervalstyle = postgres;

do $verify$
begin
  if (
    select p.prosecdef
           and pg_catalog.pg_get_function_arguments(p.oid)
               = 'instance_id uuid, '
               || 'holder text, '
               || 'ttl interval DEFAULT ''00:01:00''::interval'
           and pg_catalog.pg_get_function_result(p.oid) = 'uuid'
           and p.provolatile = 'v'
           and not p.proisstrict
           and not p.proleakproof
           and p.proowner = pg_catalog.to_regrole('integrations_owner')
           and p.proconfig = array[
             'search_path=pg_catalog, pg_temp',
             'row_security=on',
             'plpgsql.print_strict_params=off',
             'debug_print_plan=off',
             'debug_print_parse=off',
             'debug_print_rewritten=off'
           ]
           and pg_catalog.obj_description(p.oid, 'pg_proc') is not null
      from pg_catalog.pg_proc as p
     where p.oid = pg_catalog.to_regprocedure('integrations.claim_refresh(uuid, text, interval)')
  ) is not true then
    raise exception 'verify functions/claim_refresh: missing, or differs in its definition';
  end if;

  -- Exactly these may call it: nobody by PUBLIC, by a default privilege or by a later grant.
  if (
    select pg_catalog.array_agg(r.role order by r.role)
      from pg_catalog.pg_proc as p
           cross join lateral pg_catalog.aclexplode(
             coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) as a
           cross join lateral (
             select a.grantee::pg_catalog.regrole
                    || case when a.is_grantable then ' with grant option' else '' end
           ) as r (role)
     where p.oid = pg_catalog.to_regprocedure('integrations.claim_refresh(uuid, text, interval)')
  ) is distinct from array['integrations_owner', 'svc_integration'] then
    raise exception 'verify functions/claim_refresh: the privileges differ';
  end if;
end
$verify$;

rollback;
