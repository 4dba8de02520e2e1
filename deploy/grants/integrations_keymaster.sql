-- Deploy integrations:grants/integrations_keymaster to pg
-- requires: roles/integrations_keymaster
-- requires: tables/integration_instances
-- requires: tables/audit_log
-- requires: tables/key_encryption_keys
-- requires: tables/tenant_keys
-- requires: policies/integration_instances
-- requires: policies/audit_log
-- requires: policies/tenant_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- It owns functions that work across tenants, so it must never see the credentials, names or
-- configuration of one. Of keys it changes wrapping and state; it deletes nothing. Of audit entries
-- it sees the times, to keep them in months.
revoke all on integrations.integration_instances,
           integrations_private.audit_log,
           integrations_private.key_encryption_keys,
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

grant insert, select (at)
   on integrations_private.audit_log
   to integrations_keymaster;

grant select, insert
   on integrations_private.key_encryption_keys
   to integrations_keymaster;

grant select,
      update (kek_id, wrapped, state, updated_at)
   on integrations_private.tenant_keys
   to integrations_keymaster;

commit;
