-- Tests grants/svc_integration: it reads, credentials included, by column; it writes by functions.
begin;
select plan(39);

select table_privs_are(
  'integrations', 'integration_definitions', 'svc_integration', array['SELECT'],
  'svc_integration may read definitions');
select table_privs_are(
  t.schema, t.name, 'svc_integration', array[]::name[],
  'svc_integration has no privilege on the whole of ' || t.name)
from (
  values ('integrations', 'integration_instances'),
         ('integrations_private', 'tenant_keys'),
         ('integrations_private', 'key_encryption_keys'),
         ('integrations_private', 'audit_log'),
         ('integrations_private', 'audit_log_default')
) as t (schema, name);
select column_privs_are(
  'integrations', 'integration_instances', c, 'svc_integration', array['SELECT'],
  'svc_integration may read integration_instances.' || c)
from pg_catalog.unnest(array[
       'tenant_id', 'id', 'integration_id', 'name', 'status', 'status_reason', 'credentials',
       'credentials_version', 'credentials_key_id', 'credentials_expire_at', 'config',
       'last_used_at', 'last_connected_at', 'created_at', 'updated_at'
     ]) as c;

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active');
  perform tests.an_instance(tests.tenant_b(), 'crm', 'active');
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select results_eq(
  $$
    select tenant_id, pg_catalog.jsonb_typeof(credentials)
      from integrations.integration_instances
  $$,
  $$ values (tests.tenant_a(), 'object') $$,
  'the service reads envelopes, those of its tenant');
select throws_ok(q, '42501', null, 'the service is refused: ' || q)
from pg_catalog.unnest(array[
       'insert into integrations.integration_instances default values',
       'update integrations.integration_instances set name = name',
       'update integrations.integration_instances set credentials = null',
       'delete from integrations.integration_instances',
       'truncate integrations.integration_instances',
       'insert into integrations.integration_definitions default values',
       'update integrations.integration_definitions set status = status',
       'delete from integrations.integration_definitions',
       'truncate integrations.integration_definitions',
       'select * from integrations_private.tenant_keys',
       'select * from integrations_private.key_encryption_keys',
       'select * from integrations_private.audit_log',
       'select * from integrations_private.audit_log_default',
       'create table integrations.t (id integer)',
       'lock table integrations.integration_instances in exclusive mode'
     ]) as q;
select tests.unchanged('nothing has changed by any of this');

select * from finish();
rollback;
