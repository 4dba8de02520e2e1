-- Tests functions/delete_instance.
begin;
select plan(23);

select has_function('integrations', 'delete_instance', array['uuid']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.delete_instance(uuid)'::regprocedure
  ),
  'instance_id uuid',
  'its parameters are called by these names'
);
select function_returns('integrations', 'delete_instance', array['uuid'], 'void');
select function_lang_is('integrations', 'delete_instance', array['uuid'], 'plpgsql');
select volatility_is('integrations', 'delete_instance', array['uuid'], 'volatile');
select is_definer('integrations', 'delete_instance', array['uuid']);
select function_owner_is('integrations', 'delete_instance', array['uuid'], 'integrations_owner');
select tests.executable_by(
  'integrations.delete_instance(uuid)',
  array['integrations_tenant', 'svc_integration']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active'),
          tests.an_instance(tests.tenant_a(), 'other'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active');
  perform tests.remember();
end
$$;

select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.delete_instance(null) $$, '22023', null, 'delete_instance refuses null');
select throws_ok(
  $$ select integrations.delete_instance(tests.nobody()) $$, 'IN201', null,
  'delete_instance does not find an unknown id');
select throws_ok(
  $$ select integrations.delete_instance(tests.instance_id(tests.tenant_b())) $$, 'IN201', null,
  'delete_instance does not find another tenant''s');
select tests.as_tenant(null);
select throws_ok(
  $$ select integrations.delete_instance(tests.instance_id(tests.tenant_a())) $$, 'IN001', null,
  'delete_instance needs a tenant');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.delete_instance(tests.instance_id(tests.tenant_a())) $$, '42501', null,
  'an auditor may not delete');
select tests.unchanged('refused calls delete nothing');

select tests.as_tenant(tests.tenant_a());
create temporary table gone on commit drop as
select tests.instance_id(tests.tenant_a()) as id;
select lives_ok(
  $$
    select integrations.delete_instance(instance_id => tests.instance_id(tests.tenant_a()))
  $$,
  'an instance is deleted, with its credentials');
select results_eq(
  'select name::text from integrations.integration_instances',
  array['other'], 'that one and no other');
select isnt(
  tests.instance_id(tests.tenant_b()), null, 'another tenant''s of the same name is still there');
select is(
  (select a.instance_id from tests.audited(tests.tenant_a(), 'instance_deleted') as a),
  (select g.id from gone as g), 'the deletion is audited');
select is(
  (select pg_catalog.count(*) from tests.audited(tests.tenant_a(), 'instance_created') as a
    where a.instance_id = (select g.id from gone as g)),
  1::bigint, 'and the older entries stay');

select * from finish();
rollback;
