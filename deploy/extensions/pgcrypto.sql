-- Deploy integrations:extensions/pgcrypto to pg
-- requires: roles/integrations_owner
-- requires: roles/integrations_keymaster

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- A database may have pgcrypto already, in any schema: it is used there, for it can be installed
-- only once. The marks in the comments tell the revert what this package made.
do $extension$
declare
  v_schema name;
  v_role name;
  v_function text;
begin
  select n.nspname into v_schema
    from pg_catalog.pg_extension as e
         join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
   where e.extname = 'pgcrypto';

  if v_schema is null then
    v_schema := 'pgcrypto';
    if pg_catalog.to_regnamespace('pgcrypto') is null then
      create schema pgcrypto;
      comment on schema pgcrypto is
$$The cryptographic functions of the extension pgcrypto.
Created by integrations-db.$$;
      grant usage on schema pgcrypto to integrations_owner, integrations_keymaster;
    elsif not (
      select r.rolsuper or r.rolname = current_user
        from pg_catalog.pg_namespace as n
             join pg_catalog.pg_roles as r on r.oid = n.nspowner
       where n.nspname = 'pgcrypto'
    ) then
      raise exception 'schema "pgcrypto" belongs to somebody else, who could drop what is in it'
        using errcode = 'object_not_in_prerequisite_state',
              hint = 'A DBA must create the extension pgcrypto in a schema of his choice.';
    end if;
    create extension pgcrypto with schema pgcrypto;
    comment on extension pgcrypto is
$$cryptographic functions
Created by integrations-db.$$;
  end if;

  foreach v_role in array array['integrations_owner', 'integrations_keymaster'] loop
    if not pg_catalog.has_schema_privilege(v_role, v_schema, 'usage') then
      raise exception 'role "%" may not use schema "%", where pgcrypto is', v_role, v_schema
        using errcode = 'insufficient_privilege',
              hint = pg_catalog.format('A DBA must run: grant usage on schema %I to %s;',
                                       v_schema, 'integrations_owner, integrations_keymaster');
    end if;
    foreach v_function in array array[
      'hmac(bytea, bytea, text)', 'gen_random_bytes(integer)',
      'pgp_sym_encrypt(text, text, text)', 'pgp_sym_decrypt(bytea, text)',
      'pgp_sym_encrypt_bytea(bytea, text, text)', 'pgp_sym_decrypt_bytea(bytea, text)'
    ] loop
      v_function := pg_catalog.format('%I.%s', v_schema, v_function);
      if not pg_catalog.has_function_privilege(v_role, v_function, 'execute') then
        raise exception 'role "%" may not execute %', v_role, v_function
          using errcode = 'insufficient_privilege',
                hint = pg_catalog.format('A DBA must run: grant execute on function %s to %s;',
                                         v_function, 'integrations_owner, integrations_keymaster');
      end if;
    end loop;
  end loop;
end
$extension$;

commit;
