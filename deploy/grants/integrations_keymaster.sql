-- Deploy integrations:grants/integrations_keymaster to pg
-- requires: roles/integrations_keymaster
-- requires: tables/integration_instances
-- requires: tables/tenant_keys
-- requires: policies/integration_instances
-- requires: policies/tenant_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- It owns functions that work across tenants, so it must never see the credentials, names or
-- configuration of one.
revoke all on integrations.integration_instances,
           integrations_private.tenant_keys
from integrations_keymaster;

grant select (
  tenant_id,
  id,
  status,
  credentials_key_id,
  credentials_version,
  credentials_expire_at
) on integrations.integration_instances to integrations_keymaster;

grant select
   on integrations_private.tenant_keys
   to integrations_keymaster;

commit;
