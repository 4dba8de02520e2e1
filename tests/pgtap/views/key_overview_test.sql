-- Tests views/key_overview: states and counts, never material.
begin;
select plan(13);

select has_view('integrations', 'key_overview', 'the view is there');
select columns_are(
  'integrations', 'key_overview',
  array['tenant_id', 'key_id', 'version', 'kek_id', 'state', 'instance_count', 'created_at']);
select view_owner_is('integrations', 'key_overview', 'integrations_owner', 'its owner');
select table_privs_are(
  'integrations', 'key_overview', 'integrations_admin', array['SELECT'],
  'integrations_admin may read it');
select table_privs_are(
  'integrations', 'key_overview', r, array[]::name[], r || ' may not')
from pg_catalog.unnest(array[
       'integrations_auditor', 'integrations_keymaster', 'integrations_tenant',
       'svc_integration', 'public'
     ]) as r;

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'a', 'active'),
          tests.an_instance(tests.tenant_a(), 'new'),
          tests.an_instance(tests.tenant_b(), 'b', 'active');
  perform tests.a_key(tests.tenant_a(), 2);
end
$$;
select tests.as_admin();
select results_eq(
  $$
    select tenant_id, version, kek_id, state, instance_count
      from integrations.key_overview
     order by tenant_id, version
  $$,
  $$
    values (tests.tenant_a(), 1, 'kek-1', 'decrypt_only', 1::bigint),
           (tests.tenant_a(), 2, 'kek-2', 'active', 0::bigint),
           (tests.tenant_b(), 1, 'kek-1', 'active', 1::bigint)
  $$,
  'an administrator sees the keys of all tenants, without choosing one');
select tests.as_service(tests.tenant_a());
select throws_ok(
  'select * from integrations.key_overview', '42501', null, 'the service does not see it');

select * from finish();
rollback;
