-- Deploy integrations:grants/integrations_keymaster_002_refresh_leases to pg
-- requires: grants/integrations_keymaster
-- requires: tables/refresh_leases
-- requires: policies/refresh_leases

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- What the list of due refreshes compares, and not the leases themselves: whoever knows one may end
-- it.
revoke all on integrations_private.refresh_leases from integrations_keymaster;

grant select (
  tenant_id,
  instance_id,
  credentials_version,
  leased_until,
  retry_at,
  refreshed_at
) on integrations_private.refresh_leases to integrations_keymaster;

commit;
