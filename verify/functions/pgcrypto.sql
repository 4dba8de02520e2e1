-- Verify integrations:functions/pgcrypto on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

do $verify$
declare
  v_function text;
  v_volatility "char";
begin
  for v_function, v_volatility in values
    ('integrations_private.hmac(bytea, bytea)', 'i'::"char"),
    ('integrations_private.random_bytes(integer)', 'v'),
    ('integrations_private.encrypt_text(text, text)', 'v'),
    ('integrations_private.decrypt_text(bytea, text)', 'i'),
    ('integrations_private.encrypt_bytes(bytea, text)', 'v'),
    ('integrations_private.decrypt_bytes(bytea, text)', 'i')
  loop
    -- With a setting, or another volatility, a wrapper would not be inlined: its arguments, keys
    -- among them, would then stand in a query of its own.
    if (
      select not p.prosecdef
             and p.prosqlbody is not null
             and p.proconfig is null
             and p.provolatile = v_volatility
             and not p.proisstrict
             and not p.proleakproof
             and p.proowner = pg_catalog.to_regrole('integrations_owner')
             and pg_catalog.obj_description(p.oid, 'pg_proc') is not null
             and (
               select pg_catalog.array_agg(r.role order by r.role)
                 from pg_catalog.aclexplode(p.proacl) as a
                      cross join lateral (
                        select a.grantee::pg_catalog.regrole
                               || case when a.is_grantable then ' with grant option' else '' end
                      ) as r (role)
             ) = array['integrations_keymaster', 'integrations_owner']
             -- The body is bound to a function of the extension itself.
             and exists (
               select from pg_catalog.pg_depend as b
                      join pg_catalog.pg_depend as m
                        on m.classid = b.refclassid and m.objid = b.refobjid and m.deptype = 'e'
                      join pg_catalog.pg_extension as e
                        on e.oid = m.refobjid and e.extname = 'pgcrypto'
                where b.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass and b.objid = p.oid)
        from pg_catalog.pg_proc as p
       where p.oid = pg_catalog.to_regprocedure(v_function)
    ) is not true then
      raise exception 'verify functions/pgcrypto: % is missing, or differs', v_function;
    end if;
  end loop;
end
$verify$;

rollback;
