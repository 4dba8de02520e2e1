-- Deploy integrations:schemas/integrations_private to pg
-- requires: roles/integrations_owner
-- requires: roles/integrations_keymaster

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create schema integrations_private authorization integrations_owner;

comment on schema integrations_private is
$$Internals of the Integrations component: keys, the audit log and helper functions. No application
role may use it.$$;

revoke all on schema integrations_private from public;
grant usage on schema integrations_private
to integrations_keymaster;

commit;
