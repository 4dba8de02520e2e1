-- Deploy integrations:grants/integrations_auditor to pg
-- requires: roles/integrations_auditor
-- requires: tables/integration_definitions
-- requires: tables/integration_instances
-- requires: tables/audit_log
-- requires: policies/integration_instances
-- requires: policies/audit_log

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- SELECT only. The log is reached through the view audit_trail: the role has no USAGE on the
-- private schema.
revoke all on integrations.integration_definitions,
           integrations.integration_instances,
           integrations_private.audit_log
from integrations_auditor;

grant select
   on integrations.integration_definitions
   to integrations_auditor;

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
) on integrations.integration_instances to integrations_auditor;

grant select (
  tenant_id,
  id,
  at,
  instance_id,
  event,
  actor,
  session_actor,
  application,
  detail
) on integrations_private.audit_log to integrations_auditor;

commit;
