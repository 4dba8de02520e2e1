-- Tests views/audit_trail: the log, for auditors.
begin;
select plan(17);

select has_view('integrations', 'audit_trail', 'the view is there');
select columns_are(
  'integrations', 'audit_trail',
  array[
    'tenant_id', 'at', 'id', 'event', 'instance_id', 'actor', 'session_actor', 'application',
    'detail'
  ]);
select view_owner_is('integrations', 'audit_trail', 'integrations_owner', 'its owner');
select table_privs_are(
  'integrations', 'audit_trail', 'integrations_auditor', array['SELECT'],
  'integrations_auditor may read it');
select table_privs_are(
  'integrations', 'audit_trail', r, array[]::name[], r || ' may not')
from pg_catalog.unnest(array[
       'integrations_admin', 'integrations_keymaster', 'integrations_tenant', 'svc_integration',
       'public'
     ]) as r;

do $$
begin
  perform tests.an_instance(tests.tenant_a()), tests.an_instance(tests.tenant_b());
  perform tests.remember();
end
$$;
select tests.as_auditor();
select set_eq(
  'select tenant_id, event, instance_id from integrations.audit_trail',
  $$
    values (tests.tenant_a(), 'instance_created', tests.instance_id(tests.tenant_a())),
           (tests.tenant_b(), 'instance_created', tests.instance_id(tests.tenant_b()))
  $$,
  'an auditor sees the entries of all tenants');
-- It is a view of one table, so PostgreSQL would write through it.
select throws_ok(q, '42501', null, 'an auditor is refused: ' || q)
from pg_catalog.unnest(array[
       'insert into integrations.audit_trail default values',
       'update integrations.audit_trail set actor = actor',
       'delete from integrations.audit_trail'
     ]) as q;
select tests.as_service(tests.tenant_a());
select throws_ok(
  'select * from integrations.audit_trail', '42501', null, 'the service does not see it');
select tests.unchanged('every entry is as it was');

select * from finish();
rollback;
