-- Deploy integrations:grants/integrations_admin to pg
-- requires: roles/integrations_admin
-- requires: tables/integration_definitions

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Nothing on tenant data. Writes go through functions.
revoke all on integrations.integration_definitions from integrations_admin;

grant select
   on integrations.integration_definitions
   to integrations_admin;

commit;
