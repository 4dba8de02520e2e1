-- Deploy integrations:functions/quarantine_reason to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create function integrations_private.quarantine_reason()
returns text
language sql
immutable
parallel safe
return 'quarantined: the credentials cannot be decrypted';

alter function integrations_private.quarantine_reason() owner to integrations_owner;

comment on function integrations_private.quarantine_reason() is
$$The status_reason of an instance whose credentials cannot be decrypted any more.$$;

revoke all on function integrations_private.quarantine_reason() from public;

commit;
