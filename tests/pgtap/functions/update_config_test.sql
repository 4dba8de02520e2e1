-- Tests functions/update_config.
begin;
select plan(36);

select has_function('integrations', 'update_config', array['uuid', 'jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.update_config(uuid,jsonb)'::regprocedure
  ),
  'instance_id uuid, config jsonb',
  'its parameters are called by these names'
);
select function_returns('integrations', 'update_config', array['uuid', 'jsonb'], 'void');
select function_lang_is('integrations', 'update_config', array['uuid', 'jsonb'], 'plpgsql');
select volatility_is('integrations', 'update_config', array['uuid', 'jsonb'], 'volatile');
select is_definer('integrations', 'update_config', array['uuid', 'jsonb']);
select function_owner_is(
  'integrations', 'update_config',
  array['uuid', 'jsonb'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.update_config(uuid,jsonb)',
  array['integrations_tenant', 'svc_integration']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm'), tests.an_instance(tests.tenant_b(), 'crm'),
          tests.an_instance(tests.tenant_a(), 'disabled', 'disabled'),
          tests.an_instance(tests.tenant_a(), 'revoked', 'revoked');
end
$$;

select tests.as_tenant(tests.tenant_a());
select lives_ok(
  $$
    select integrations.update_config(
      instance_id => tests.instance_id(tests.tenant_a()), config => '{"region": "eu"}')
  $$,
  'a configuration is replaced');
select results_eq(
  $$ select config, updated_at > created_at from tests.instance(tests.tenant_a()) $$,
  $$ values ('{"region": "eu"}'::jsonb, true) $$, 'it is there, and dated');
select results_eq(
  $$ select instance_id, detail from tests.audited(tests.tenant_a(), 'config_updated') $$,
  $$ select tests.instance_id(tests.tenant_a()), '{}'::jsonb $$,
  'the change is audited, without the values');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.update_config(null, '{}') $$, '22023', null,
  'update_config refuses a null id');
select throws_ok(
  pg_catalog.format(
    'select integrations.update_config(%L, %L)', tests.instance_id(tests.tenant_a()), v.config),
  '22023', null, 'update_config refuses ' || v.what)
from (
  values ('null', null),
         ('null in JSON', 'null'),
         ('an array', '[]'),
         ('a string', '"{}"'),
         ('a number', '1'),
         ('more than 64 KiB', '{"a": "' || pg_catalog.repeat('x', 65536) || '"}')
) as v (what, config);
select throws_ok(
  $$
    select integrations.update_config(tests.instance_id(tests.tenant_a()), '{"a": "\u0000"}')
  $$,
  '22P05', null, 'update_config refuses U+0000: jsonb itself does');
select throws_ok(
  $$ select integrations.update_config(tests.nobody(), '{}') $$, 'IN201', null,
  'update_config does not find an unknown id');
select throws_ok(
  $$ select integrations.update_config(tests.instance_id(tests.tenant_b()), '{}') $$, 'IN201',
  null, 'update_config does not find another tenant''s');
select is(
  tests.answer_about(
    'select integrations.update_config(%L, ''{}'')', tests.instance_id(tests.tenant_b())),
  tests.answer_about('select integrations.update_config(%L, ''{}'')', tests.nobody()),
  'but for the id, the two answers are the same');
select throws_ok(
  pg_catalog.format(
    'select integrations.update_config(%L, ''{}'')', tests.instance_id(tests.tenant_a(), n)),
  'IN202', null, 'update_config refuses a ' || n || ' instance')
from pg_catalog.unnest(array['disabled', 'revoked']) as n;
select tests.as_tenant(null);
select throws_ok(
  $$ select integrations.update_config(tests.instance_id(tests.tenant_a()), '{}') $$, 'IN001',
  null, 'update_config needs a tenant');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.update_config(tests.instance_id(tests.tenant_a()), '{}') $$, '42501',
  null, 'an administrator may not configure');
select tests.unchanged('refused calls change nothing');

select tests.as_service(tests.tenant_b());
select lives_ok(
  $$ select integrations.update_config(tests.instance_id(tests.tenant_b()), '{"b": 1}') $$,
  'the service may configure too');
select is(
  (tests.instance(tests.tenant_a())).config, '{"region": "eu"}'::jsonb,
  'and the other tenant''s stays as it was');

reset role;
do $$
begin
  perform integrations.set_definition_status(
    integrations.register_definition(
      'With schemas', 'api_key', '1.0.0',
      credentials_schema => '{"properties": {"api_key": {"pattern": "^k"}}}',
      config_schema => '{"properties": {"region": {"enum": ["eu", "us"]}}}'),
    'published');
  update integrations.integration_instances as i
     set integration_id = tests.definition_id('With schemas')
   where i.tenant_id = tests.tenant_a() and i.name = 'crm';
end
$$;
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$
    select integrations.update_config(tests.instance_id(tests.tenant_a()), '{"region": "mars"}')
  $$,
  'IN203', 'config does not fit the schema of the definition',
  'update_config refuses a config that does not fit');
select lives_ok(
  $$ select integrations.update_config(tests.instance_id(tests.tenant_a()), '{"region": "us"}') $$,
  'and takes one that fits');

select * from finish();
rollback;
