-- Verify integrations:functions/pointer_token on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

do $verify$
begin
  if (
    select not p.prosecdef
           and pg_catalog.pg_get_function_arguments(p.oid) = 'name text'
           and pg_catalog.pg_get_function_result(p.oid) = 'text'
           and p.provolatile = 'i'
           and not p.proisstrict
           and not p.proleakproof
           and p.proowner = pg_catalog.to_regrole('integrations_owner')
           and p.proconfig is null
           and pg_catalog.obj_description(p.oid, 'pg_proc') is not null
      from pg_catalog.pg_proc as p
     where p.oid = pg_catalog.to_regprocedure('integrations_private.pointer_token(text)')
  ) is not true then
    raise exception 'verify functions/pointer_token: missing, or differs in its definition';
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
     where p.oid = pg_catalog.to_regprocedure('integrations_private.pointer_token(text)')
  ) is distinct from array['integrations_owner'] then
    raise exception 'verify functions/pointer_token: the privileges differ';
  end if;
end
$verify$;

rollback;
