-- Verify integrations:extensions/pgcrypto on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

do $verify$
begin
  if (
    select pg_catalog.bool_and(
             pg_catalog.has_schema_privilege(r.name, e.extnamespace, 'usage')
             and pg_catalog.has_function_privilege(
                   r.name, pg_catalog.format('%I.%s', n.nspname, f.signature), 'execute'))
      from pg_catalog.pg_extension as e
           join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
           cross join (values ('integrations_owner'), ('integrations_keymaster')) as r (name)
           cross join (
             values ('hmac(bytea, bytea, text)'), ('gen_random_bytes(integer)'),
                    ('pgp_sym_encrypt(text, text, text)'), ('pgp_sym_decrypt(bytea, text)'),
                    ('pgp_sym_encrypt_bytea(bytea, text, text)'),
                    ('pgp_sym_decrypt_bytea(bytea, text)')
           ) as f (signature)
     where e.extname = 'pgcrypto'
  ) is not true then
    raise exception 'verify extensions/pgcrypto: missing, or the owner roles may not use it';
  end if;
end
$verify$;

rollback;
