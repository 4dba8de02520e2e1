-- Tests views/instance_overview: installations with their connectors, as the caller may see them.
begin;
select plan(22);

select has_view('integrations', 'instance_overview', 'the view is there');
select columns_are(
  'integrations', 'instance_overview',
  array[
    'tenant_id', 'id', 'integration_id', 'integration_name', 'integration_type',
    'integration_version', 'name', 'status', 'status_reason', 'credentials_version',
    'has_credentials', 'credentials_expire_at', 'config', 'last_used_at', 'last_connected_at',
    'created_at', 'updated_at'
  ]);
select view_owner_is('integrations', 'instance_overview', 'integrations_owner', 'its owner');
select table_privs_are(
  'integrations', 'instance_overview', r, array['SELECT'], r || ' may read it')
from pg_catalog.unnest(array[
       'integrations_auditor', 'integrations_tenant', 'svc_integration'
     ]) as r;
select table_privs_are(
  'integrations', 'instance_overview', r, array[]::name[], r || ' may not')
from pg_catalog.unnest(array['integrations_admin', 'integrations_keymaster', 'public']) as r;

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'a', 'active'),
          tests.an_instance(tests.tenant_a(), 'new'),
          tests.an_instance(tests.tenant_b(), 'b', 'error');
end
$$;
select tests.as_tenant(tests.tenant_a());
select results_eq(
  $$
    select name::text, integration_name::text, integration_type::text, integration_version::text,
           status::text, has_credentials, credentials_version
      from integrations.instance_overview
     order by name
  $$,
  $$
    values ('a', 'Salesforce', 'oauth2', '1.0.0', 'active', true, 1),
           ('new', 'Salesforce', 'oauth2', '1.0.0', 'pending', false, 0)
  $$,
  'the application of A sees A''s');
select throws_ok(
  $$ update integrations.instance_overview set name = 'x' $$, '55000', null,
  'a view of a join cannot be written');
select tests.as_tenant(tests.tenant_b());
select results_eq(
  'select name::text from integrations.instance_overview', array['b'],
  'the application of B sees B''s');
select tests.as_tenant(null);
select is_empty(
  'select id from integrations.instance_overview', 'without a tenant there is nothing');
select tests.as_service(tests.tenant_b());
select results_eq(
  'select name::text from integrations.instance_overview', array['b'],
  'the service sees B''s for B');
select tests.as_auditor();
select set_eq(
  'select name::text from integrations.instance_overview', array['a', 'b', 'new'],
  'an auditor sees those of all tenants');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  'select id from integrations.instance_overview', '42501', null, 'an administrator sees none');

select * from finish();
rollback;
