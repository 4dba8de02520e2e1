-- Tests grants/integrations_auditor: the trail and metadata, of all tenants, read only.
begin;
select plan(58);

select table_privs_are(
  'integrations', 'integration_definitions', 'integrations_auditor', array['SELECT'],
  'integrations_auditor may read definitions');
select table_privs_are(
  t.schema, t.name, 'integrations_auditor', array[]::name[],
  'integrations_auditor has no privilege on the whole of ' || t.name)
from (
  values ('integrations', 'integration_instances'),
         ('integrations_private', 'tenant_keys'),
         ('integrations_private', 'key_encryption_keys'),
         ('integrations_private', 'audit_log'),
         ('integrations_private', 'audit_log_default')
) as t (schema, name);
select column_privs_are(
  'integrations', 'integration_instances', c, 'integrations_auditor', array['SELECT'],
  'integrations_auditor may read integration_instances.' || c)
from pg_catalog.unnest(array[
       'tenant_id', 'id', 'integration_id', 'name', 'status', 'status_reason',
       'credentials_version', 'credentials_key_id', 'credentials_expire_at', 'config',
       'last_used_at', 'last_connected_at', 'created_at', 'updated_at'
     ]) as c;
select column_privs_are(
  'integrations', 'integration_instances', c, 'integrations_auditor', array[]::name[],
  'integrations_auditor may do nothing with integration_instances.' || c)
from pg_catalog.unnest(array[
       'credentials'
     ]) as c;
select column_privs_are(
  'integrations_private', 'audit_log', c, 'integrations_auditor', array['SELECT'],
  'integrations_auditor may read audit_log.' || c)
from pg_catalog.unnest(array[
       'tenant_id', 'id', 'at', 'instance_id', 'event', 'actor', 'session_actor', 'application',
       'detail'
     ]) as c;

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active');
  perform tests.an_instance(tests.tenant_b(), 'crm', 'active');
  perform tests.remember();
end
$$;

select tests.as_auditor();
select set_eq(
  'select tenant_id from integrations.integration_instances',
  array[tests.tenant_a(), tests.tenant_b()], 'an auditor reads metadata of all tenants');
select throws_ok(q, '42501', null, 'an auditor is refused: ' || q)
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
select throws_ok(q, '42501', null, 'an auditor is refused: ' || q)
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
