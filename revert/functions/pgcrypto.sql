-- Revert integrations:functions/pgcrypto from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

drop function integrations_private.decrypt_bytes(bytea, text);
drop function integrations_private.encrypt_bytes(bytea, text);
drop function integrations_private.decrypt_text(bytea, text);
drop function integrations_private.encrypt_text(text, text);
drop function integrations_private.random_bytes(integer);
drop function integrations_private.hmac(bytea, bytea);

commit;
