-- Deploy integrations:grants/svc_integration to pg
-- requires: roles/svc_integration
-- requires: tables/integration_definitions
-- requires: tables/integration_instances
-- requires: policies/integration_instances

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- SELECT only, and by column: a column that is added later is granted to nobody. "select *" works
-- for this role as long as it may read every column. No INSERT, UPDATE or DELETE: every write goes
-- through a function.
revoke all on integrations.integration_definitions,
           integrations.integration_instances
from svc_integration;

grant select
   on integrations.integration_definitions
   to svc_integration;

grant select (
  tenant_id,
  id,
  integration_id,
  name,
  status,
  status_reason,
  credentials,
  credentials_version,
  credentials_key_id,
  credentials_expire_at,
  config,
  last_used_at,
  last_connected_at,
  created_at,
  updated_at
) on integrations.integration_instances to svc_integration;

commit;
