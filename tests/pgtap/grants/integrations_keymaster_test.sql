-- Tests grants/integrations_keymaster: which rows need which key, and no more.
begin;
select plan(66);

select table_privs_are(
  'integrations_private', 'tenant_keys', 'integrations_keymaster', array['SELECT'],
  'integrations_keymaster may read keys');
select table_privs_are(
  t.schema, t.name, 'integrations_keymaster', array[]::name[],
  'integrations_keymaster has no privilege on the whole of ' || t.name)
from (
  values ('integrations', 'integration_instances'),
         ('integrations', 'integration_definitions'),
         ('integrations_private', 'audit_log_default')
) as t (schema, name);
select table_privs_are(
  'integrations_private', 'key_encryption_keys', 'integrations_keymaster',
  array['SELECT', 'INSERT'], 'integrations_keymaster may read and register KEKs');
select table_privs_are(
  'integrations_private', 'audit_log', 'integrations_keymaster', array['INSERT'],
  'integrations_keymaster may add to the audit log, and not read it');
select column_privs_are(
  'integrations_private', 'audit_log', 'at', 'integrations_keymaster', array['SELECT', 'INSERT'],
  'but for the times of its entries');
select column_privs_are(
  'integrations_private', 'audit_log', c, 'integrations_keymaster', array['INSERT'],
  'integrations_keymaster may not read audit_log.' || c)
from pg_catalog.unnest(array['tenant_id', 'instance_id', 'event', 'actor', 'detail']) as c;
select column_privs_are(
  'integrations_private', 'tenant_keys', c, 'integrations_keymaster', array['SELECT', 'UPDATE'],
  'integrations_keymaster may change tenant_keys.' || c)
from pg_catalog.unnest(array['kek_id', 'wrapped', 'state', 'updated_at']) as c;
select column_privs_are(
  'integrations_private', 'tenant_keys', c, 'integrations_keymaster', array['SELECT'],
  'integrations_keymaster may only read tenant_keys.' || c)
from pg_catalog.unnest(array['tenant_id', 'id', 'version', 'check_value', 'created_at']) as c;
select column_privs_are(
  'integrations', 'integration_instances', c, 'integrations_keymaster', array['SELECT'],
  'integrations_keymaster may read integration_instances.' || c)
from pg_catalog.unnest(array[
       'tenant_id', 'id', 'status', 'credentials_key_id', 'credentials_version',
       'credentials_expire_at'
     ]) as c;
select column_privs_are(
  'integrations', 'integration_instances', c, 'integrations_keymaster', array[]::name[],
  'integrations_keymaster may do nothing with integration_instances.' || c)
from pg_catalog.unnest(array[
       'integration_id', 'name', 'status_reason', 'credentials', 'config', 'last_used_at',
       'last_connected_at', 'created_at', 'updated_at'
     ]) as c;

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active');
  perform tests.an_instance(tests.tenant_b(), 'crm', 'active');
  perform tests.remember();
end
$$;

select tests.as_keymaster();
select set_eq(
  'select tenant_id, status, credentials_version from integrations.integration_instances',
  $$
    values (tests.tenant_a(), 'active'::integrations.integration_instance_status, 1),
           (tests.tenant_b(), 'active'::integrations.integration_instance_status, 1)
  $$,
  'the keymaster sees versions and states of all tenants');
select throws_ok(q, '42501', null, 'the keymaster is refused: ' || q)
from pg_catalog.unnest(array[
       'select * from integrations.integration_instances',
       'select credentials from integrations.integration_instances',
       'select i from integrations.integration_instances as i',
       'select pg_catalog.row_to_json(i) from integrations.integration_instances as i',
       'select id from integrations.integration_instances where credentials is not null',
       'select id from integrations.integration_instances order by credentials',
       'select count(*) from integrations.integration_instances group by credentials',
       'select ctid from integrations.integration_instances',
       'select xmin from integrations.integration_instances',
       'select id from integrations.integration_instances as i'
       ' natural join (select null::jsonb as credentials) as c'
     ]) as q;
select throws_ok(q, '42501', null, 'the keymaster is refused: ' || q)
from pg_catalog.unnest(array[
       'select name from integrations.integration_instances',
       'select config from integrations.integration_instances',
       'select * from integrations_private.audit_log',
       'update integrations_private.key_encryption_keys set check_value = null',
       'delete from integrations_private.key_encryption_keys',
       'truncate integrations_private.key_encryption_keys',
       'update integrations.integration_instances set status = status',
       'delete from integrations.integration_instances',
       'truncate integrations.integration_instances',
       'update integrations_private.tenant_keys set tenant_id = tenant_id',
       'update integrations_private.tenant_keys set check_value = check_value',
       'insert into integrations_private.tenant_keys default values',
       'delete from integrations_private.tenant_keys',
       'truncate integrations_private.tenant_keys',
       'update integrations_private.audit_log set event = event',
       'create table integrations_private.t (id integer)',
       'create table integrations.t (id integer)'
     ]) as q;
select tests.unchanged('nothing has changed by any of this');

select * from finish();
rollback;
