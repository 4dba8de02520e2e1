-- Revert integrations:grants/integrations_keymaster from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

revoke select (
  tenant_id,
  id,
  status,
  credentials_key_id,
  credentials_version,
  credentials_expire_at
) on integrations.integration_instances from integrations_keymaster;
revoke insert, select (at) on integrations_private.audit_log from integrations_keymaster;
revoke select, insert on integrations_private.key_encryption_keys from integrations_keymaster;
revoke select,
       update (kek_id, wrapped, state, updated_at)
on integrations_private.tenant_keys from integrations_keymaster;

commit;
