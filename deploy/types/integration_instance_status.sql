-- Deploy integrations:types/integration_instance_status to pg
-- requires: schemas/integrations

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create type integrations.integration_instance_status as enum (
  'pending',
  'active',
  'error',
  'disabled',
  'revoked'
);

alter type integrations.integration_instance_status owner to integrations_owner;

comment on type integrations.integration_instance_status is
$$The life of an integration instance: pending until its first credentials; active; error after a
failed connection; disabled by its users; revoked, which is final and without credentials.$$;

commit;
