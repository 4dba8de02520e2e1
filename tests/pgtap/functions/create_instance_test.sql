-- Tests functions/create_instance.
begin;
select plan(40);

select has_function('integrations', 'create_instance', array['uuid', 'text', 'jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.create_instance(uuid,text,jsonb)'::regprocedure
  ),
  'integration_id uuid, name text, config jsonb DEFAULT ''{}''::jsonb',
  'its parameters are called by these names'
);
select function_returns('integrations', 'create_instance', array['uuid', 'text', 'jsonb'], 'uuid');
select function_lang_is(
  'integrations', 'create_instance',
  array['uuid', 'text', 'jsonb'],
  'plpgsql'
);
select volatility_is('integrations', 'create_instance', array['uuid', 'text', 'jsonb'], 'volatile');
select is_definer('integrations', 'create_instance', array['uuid', 'text', 'jsonb']);
select function_owner_is(
  'integrations', 'create_instance',
  array['uuid', 'text', 'jsonb'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.create_instance(uuid,text,jsonb)',
  array['integrations_tenant', 'svc_integration']
);

do $$
begin
  perform tests.a_definition('Salesforce'), tests.a_definition('Draft', 'draft'),
          tests.a_definition('Deprecated', 'deprecated'), tests.a_definition('Retired', 'retired');
end
$$;

select tests.as_tenant(tests.tenant_a());
select ok(
  integrations.create_instance(
    integration_id => tests.definition_id('Salesforce'), name => 'crm',
    config => '{"region": "eu"}') is not null,
  'an application installs a published connector');
select results_eq(
  $$
    select tenant_id, integration_id, name::text, status::text, status_reason, credentials,
           credentials_version, credentials_key_id, credentials_expire_at, config, last_used_at,
           last_connected_at
      from tests.instance(tests.tenant_a())
  $$,
  $$
    select tests.tenant_a(), tests.definition_id('Salesforce'), 'crm', 'pending', null::text,
           null::jsonb, 0, null::uuid, null::timestamptz, '{"region": "eu"}'::jsonb,
           null::timestamptz, null::timestamptz
  $$,
  'it belongs to the tenant and is pending, without credentials');
select results_eq(
  $$
    select instance_id, actor, detail from tests.audited(tests.tenant_a(), 'instance_created')
  $$,
  $$
    select tests.instance_id(tests.tenant_a()), 'integrations_tenant',
           pg_catalog.jsonb_build_object('integration_id', tests.definition_id('Salesforce'))
  $$,
  'its creation is audited');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.create_instance(null, 'x') $$, '22023', null,
  'create_instance refuses a null definition');
select throws_ok(
  $$ select integrations.create_instance(tests.nobody(), 'x') $$, 'IN101',
  'integration definition not found', 'create_instance does not find an unknown definition');
select throws_ok(
  pg_catalog.format('select integrations.create_instance(%L, %L)', tests.definition_id(d), 'x'),
  'IN103', 'integration definition is not published', 'create_instance refuses one that is ' || d)
from pg_catalog.unnest(array['Draft', 'Deprecated', 'Retired']) as d;
select throws_ok(
  pg_catalog.format(
    'select integrations.create_instance(%L, %L)', tests.definition_id('Salesforce'), v.name),
  '22023', null, 'create_instance refuses ' || v.what)
from (
  values ('a null name', null),
         ('an empty name', ''),
         ('a blank name', E' \n'),
         ('a name of 201 characters', pg_catalog.repeat('a', 201))
) as v (what, name);
select throws_ok(
  pg_catalog.format(
    'select integrations.create_instance(%L, %L, %L)',
    tests.definition_id('Salesforce'), 'x', v.config),
  '22023', null, 'create_instance refuses ' || v.what)
from (
  values ('a null config', null),
         ('a config that is null in JSON', 'null'),
         ('a config that is an array', '[]'),
         ('a config that is a string', '"{}"'),
         ('a config over 64 KiB', '{"a": "' || pg_catalog.repeat('x', 65536) || '"}')
) as v (what, config);
select throws_ok(
  $$ select integrations.create_instance(tests.definition_id('Salesforce'), 'crm') $$, '23505',
  null, 'create_instance refuses a name that the tenant uses already');
select tests.as_tenant(null);
select throws_ok(
  $$ select integrations.create_instance(tests.definition_id('Salesforce'), 'x') $$, 'IN001',
  null, 'create_instance needs a tenant');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.create_instance(tests.definition_id('Salesforce'), 'x') $$, '42501',
  null, 'an administrator may not install');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.create_instance(tests.definition_id('Salesforce'), 'x') $$, '42501',
  null, 'an auditor may not install');
select tests.unchanged('what was refused is not there');

select tests.as_service(tests.tenant_b());
select lives_ok(
  $$ select integrations.create_instance(tests.definition_id('Salesforce'), 'crm') $$,
  'the service installs too, and another tenant may use the same name');
select is(
  (tests.instance(tests.tenant_b())).config, '{}'::jsonb, 'the config is empty by default');

reset role;
do $$
begin
  perform integrations.set_definition_status(
    integrations.register_definition(
      'With schemas', 'api_key', '1.0.0',
      credentials_schema => '{"properties": {"api_key": {"pattern": "^k"}}}',
      config_schema => '{"properties": {"region": {"enum": ["eu", "us"]}}}'),
    'published');
end
$$;
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$
    select integrations.create_instance(
      tests.definition_id('With schemas'), 'with schemas', '{"region": "mars"}')
  $$,
  'IN203', 'config does not fit the schema of the definition',
  'create_instance refuses a config that does not fit');
select lives_ok(
  $$
    select integrations.create_instance(
      tests.definition_id('With schemas'), 'with schemas', '{"region": "us"}')
  $$,
  'and takes one that fits');

select * from finish();
rollback;
