-- Deploy integrations:functions/pointer_token to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- The escapes of RFC 6901.
create function integrations_private.pointer_token(name text)
returns text
language sql
immutable
parallel safe
return '/' || pg_catalog.replace(pg_catalog.replace(name, '~', '~0'), '/', '~1');

alter function integrations_private.pointer_token(text) owner to integrations_owner;

comment on function integrations_private.pointer_token(text) is
$$The name of a property as a token of a JSON pointer, with the slash before it.$$;

revoke all on function integrations_private.pointer_token(text) from public;

commit;
