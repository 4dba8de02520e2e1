-- Revert integrations:grants/integrations_auditor from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

revoke select on integrations.integration_definitions from integrations_auditor;
revoke select (
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
) on integrations.integration_instances from integrations_auditor;
revoke select (
  tenant_id,
  id,
  at,
  instance_id,
  event,
  actor,
  session_actor,
  application,
  detail
) on integrations_private.audit_log from integrations_auditor;

commit;
