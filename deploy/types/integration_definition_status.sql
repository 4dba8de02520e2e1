-- Deploy integrations:types/integration_definition_status to pg
-- requires: schemas/integrations

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

create type integrations.integration_definition_status as enum (
  'draft',
  'published',
  'deprecated',
  'retired'
);

alter type integrations.integration_definition_status owner to integrations_owner;

comment on type integrations.integration_definition_status is
$$The life of an integration definition. It moves forward only; steps may be skipped. Only a
published one can be installed.$$;

commit;
