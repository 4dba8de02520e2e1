-- Revert integrations:grants/integrations_keymaster_002_refresh_leases from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

revoke select (
  tenant_id,
  instance_id,
  credentials_version,
  leased_until,
  retry_at,
  refreshed_at
) on integrations_private.refresh_leases from integrations_keymaster;

commit;
