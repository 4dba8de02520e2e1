-- Verify integrations:functions/pgcrypto on pg

begin;
set local search_path = pg_catalog, pg_temp;

do $verify$
declare
  v_function text;
begin
  foreach v_function in array array[
    'integrations_private.hmac(bytea, bytea)',
    'integrations_private.random_bytes(integer)',
    'integrations_private.encrypt_text(text, text)',
    'integrations_private.decrypt_text(bytea, text)',
    'integrations_private.encrypt_bytes(bytea, text)',
    'integrations_private.decrypt_bytes(bytea, text)'
  ] loop
    if (
      select not p.prosecdef
             and p.prosqlbody is not null
             and p.proowner = pg_catalog.to_regrole('integrations_owner')
             and pg_catalog.obj_description(p.oid, 'pg_proc') is not null
             and pg_catalog.has_function_privilege('integrations_keymaster', p.oid, 'execute')
             and not pg_catalog.has_function_privilege('public', p.oid, 'execute')
             and not pg_catalog.has_function_privilege('svc_integration', p.oid, 'execute')
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
