-- Deploy integrations:grants/integrations_tenant to pg
-- requires: roles/integrations_tenant
-- requires: tables/integration_definitions
-- requires: tables/integration_instances
-- requires: policies/integration_instances

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- SELECT only, and by column: everything but the credentials. "select *" fails for this role on
-- purpose.
revoke all on integrations.integration_definitions,
           integrations.integration_instances
from integrations_tenant;

grant select
   on integrations.integration_definitions
   to integrations_tenant;

grant select (
  tenant_id,
  id,
  integration_id,
  name,
  status,
  status_reason,
  credentials_version,
  credentials_key_id,
  credentials_expire_at,
  config,
  last_used_at,
  last_connected_at,
  created_at,
  updated_at
) on integrations.integration_instances to integrations_tenant;

commit;
