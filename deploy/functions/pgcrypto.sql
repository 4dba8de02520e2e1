-- Deploy integrations:functions/pgcrypto to pg
-- requires: extensions/pgcrypto
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- The schema of pgcrypto differs between databases and is known only now. Bodies in SQL-standard
-- form are parsed here, once: no search path can change what they call, and they follow the
-- extension.
do $wrappers$
declare
  v_schema name;
begin
  select n.nspname into strict v_schema
    from pg_catalog.pg_extension as e
         join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
   where e.extname = 'pgcrypto';

  execute pg_catalog.format($sql$
    create function integrations_private.hmac(data bytea, key bytea)
    returns bytea
    language sql
    immutable
    parallel safe
    return %I.hmac(data, key, 'sha256'::text);
  $sql$, v_schema);

  execute pg_catalog.format($sql$
    create function integrations_private.random_bytes(length integer)
    returns bytea
    language sql
    volatile
    parallel safe
    return %I.gen_random_bytes(length);
  $sql$, v_schema);

  execute pg_catalog.format($sql$
    create function integrations_private.encrypt_text(plaintext text, passphrase text)
    returns bytea
    language sql
    volatile
    parallel safe
    return %I.pgp_sym_encrypt(
      plaintext, passphrase, 'cipher-algo=aes256,s2k-mode=1,compress-algo=0'::text);
  $sql$, v_schema);

  execute pg_catalog.format($sql$
    create function integrations_private.decrypt_text(ciphertext bytea, passphrase text)
    returns text
    language sql
    immutable
    parallel safe
    return %I.pgp_sym_decrypt(ciphertext, passphrase);
  $sql$, v_schema);

  execute pg_catalog.format($sql$
    create function integrations_private.encrypt_bytes(plaintext bytea, passphrase text)
    returns bytea
    language sql
    volatile
    parallel safe
    return %I.pgp_sym_encrypt_bytea(
      plaintext, passphrase, 'cipher-algo=aes256,s2k-mode=1,compress-algo=0'::text);
  $sql$, v_schema);

  execute pg_catalog.format($sql$
    create function integrations_private.decrypt_bytes(ciphertext bytea, passphrase text)
    returns bytea
    language sql
    immutable
    parallel safe
    return %I.pgp_sym_decrypt_bytea(ciphertext, passphrase);
  $sql$, v_schema);
end
$wrappers$;

alter function integrations_private.hmac(bytea, bytea) owner to integrations_owner;
comment on function integrations_private.hmac(bytea, bytea) is
$$HMAC-SHA-256 of data under key.$$;
revoke all on function integrations_private.hmac(bytea, bytea) from public;
grant execute on function integrations_private.hmac(bytea, bytea) to integrations_keymaster;

alter function integrations_private.random_bytes(integer) owner to integrations_owner;
comment on function integrations_private.random_bytes(integer) is
$$Random bytes from the cryptographic generator.$$;
revoke all on function integrations_private.random_bytes(integer) from public;
grant execute on function integrations_private.random_bytes(integer) to integrations_keymaster;

alter function integrations_private.encrypt_text(text, text) owner to integrations_owner;
comment on function integrations_private.encrypt_text(text, text) is
$$OpenPGP message of a text. The passphrase must carry 256 bits of entropy: it is not stretched.$$;
revoke all on function integrations_private.encrypt_text(text, text) from public;
grant execute on function integrations_private.encrypt_text(text, text) to integrations_keymaster;

alter function integrations_private.decrypt_text(bytea, text) owner to integrations_owner;
comment on function integrations_private.decrypt_text(bytea, text) is
$$The text of an OpenPGP message. Check its MAC first: OpenPGP alone does not protect its
integrity.$$;
revoke all on function integrations_private.decrypt_text(bytea, text) from public;
grant execute on function integrations_private.decrypt_text(bytea, text) to integrations_keymaster;

alter function integrations_private.encrypt_bytes(bytea, text) owner to integrations_owner;
comment on function integrations_private.encrypt_bytes(bytea, text) is
$$OpenPGP message of bytes. The passphrase must carry 256 bits of entropy: it is not stretched.$$;
revoke all on function integrations_private.encrypt_bytes(bytea, text) from public;
grant execute on function integrations_private.encrypt_bytes(bytea, text) to integrations_keymaster;

alter function integrations_private.decrypt_bytes(bytea, text) owner to integrations_owner;
comment on function integrations_private.decrypt_bytes(bytea, text) is
$$The bytes of an OpenPGP message. Check them: OpenPGP alone does not protect its integrity.$$;
revoke all on function integrations_private.decrypt_bytes(bytea, text) from public;
grant execute on function integrations_private.decrypt_bytes(bytea, text) to integrations_keymaster;

commit;
