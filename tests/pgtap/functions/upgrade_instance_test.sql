-- Tests functions/upgrade_instance.
begin;
select plan(50);

select has_function('integrations', 'upgrade_instance', array['uuid', 'uuid']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.upgrade_instance(uuid,uuid)'::regprocedure
  ),
  'instance_id uuid, integration_id uuid',
  'its parameters are called by these names'
);
select function_returns('integrations', 'upgrade_instance', array['uuid', 'uuid'], 'void');
select function_lang_is('integrations', 'upgrade_instance', array['uuid', 'uuid'], 'plpgsql');
select volatility_is('integrations', 'upgrade_instance', array['uuid', 'uuid'], 'volatile');
select is_definer('integrations', 'upgrade_instance', array['uuid', 'uuid']);
select function_owner_is(
  'integrations', 'upgrade_instance',
  array['uuid', 'uuid'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.upgrade_instance(uuid,uuid)',
  array['integrations_tenant', 'svc_integration']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active'),
          tests.an_instance(tests.tenant_a(), 'stored', 'active', '{"token": "t0"}'),
          tests.an_instance(tests.tenant_a(), 'failed', 'error'),
          tests.an_instance(tests.tenant_a(), 'disabled', 'disabled'),
          tests.an_instance(tests.tenant_a(), 'revoked', 'revoked');
  perform tests.a_definition('Salesforce', 'published', '1.1.0'),
          tests.a_definition('Salesforce', 'draft', '9.0.0'),
          tests.a_definition('Salesforce', 'deprecated', '9.0.1'),
          tests.a_definition('Salesforce', 'retired', '9.0.2'),
          tests.a_definition('Xero');
  perform integrations.set_definition_status(
            integrations.register_definition(
              'Salesforce', 'oauth2', v.version, credentials_schema => v.credentials_schema,
              config_schema => v.config_schema),
            'published')
     from (
       values ('2.0.0', '{}'::jsonb, '{"required": ["region"]}'::jsonb),
              ('3.0.0', '{"required": ["token"]}', '{}'),
              ('3.1.0', '{"required": ["token"]}', 'true'),
              ('4.0.0', '{"properties": {"token": {"pattern": "^T"}}}', '{}')
     ) as v (version, credentials_schema, config_schema);
end
$$;

select tests.as_tenant(tests.tenant_a());
select lives_ok(
  $$
    select integrations.upgrade_instance(
      instance_id => tests.instance_id(tests.tenant_a()),
      integration_id => tests.definition_id('Salesforce', '1.1.0'))
  $$,
  'an instance moves to another version');
select results_eq(
  $$
    select integration_id, status, updated_at > created_at from tests.instance(tests.tenant_a())
  $$,
  $$
    values (tests.definition_id('Salesforce', '1.1.0'),
            'pending'::integrations.integration_instance_status, true)
  $$,
  'it is there, dated, and in the status that it had');
select results_eq(
  $$ select instance_id, detail from tests.audited(tests.tenant_a(), 'instance_upgraded') $$,
  $$
    select tests.instance_id(tests.tenant_a()),
           pg_catalog.jsonb_build_object(
             'from', tests.definition_id('Salesforce', '1.0.0'),
             'to', tests.definition_id('Salesforce', '1.1.0'))
  $$,
  'the move is audited, from where to where');

do $$
begin
  perform tests.remember();
end
$$;
select lives_ok(
  $$
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_a()), tests.definition_id('Salesforce', '1.1.0'))
  $$,
  'to where it is already it need not move');
select tests.unchanged('and nothing happens, nor is audited');

select throws_ok(
  $$ select integrations.upgrade_instance(null, tests.definition_id('Salesforce', '1.1.0')) $$,
  '22023', null, 'upgrade_instance refuses a null instance');
select throws_ok(
  $$ select integrations.upgrade_instance(tests.instance_id(tests.tenant_a()), null) $$,
  '22023', null, 'upgrade_instance refuses a null definition');
select throws_ok(
  $$
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_a()), tests.definition_id('Xero'))
  $$,
  '22023', 'integration_id must be a version of the same connector',
  'upgrade_instance refuses another connector');
select throws_ok(
  $$ select integrations.upgrade_instance(tests.instance_id(tests.tenant_a()), tests.nobody()) $$,
  'IN101', null, 'upgrade_instance refuses a definition that is not there');
select throws_ok(
  pg_catalog.format(
    'select integrations.upgrade_instance(%L, %L)', tests.instance_id(tests.tenant_a()),
    tests.definition_id('Salesforce', v.version)),
  'IN103', null, 'upgrade_instance refuses a definition that is ' || v.status)
from (values ('9.0.0', 'draft'), ('9.0.1', 'deprecated'), ('9.0.2', 'retired'))
  as v (version, status);
select throws_ok(
  $$
    select integrations.upgrade_instance(
      tests.nobody(), tests.definition_id('Salesforce', '1.1.0'))
  $$,
  'IN201', null, 'upgrade_instance does not find an unknown id');
select throws_ok(
  $$
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_b()), tests.definition_id('Salesforce', '1.1.0'))
  $$,
  'IN201', null, 'upgrade_instance does not find another tenant''s');
select throws_ok(
  pg_catalog.format(
    'select integrations.upgrade_instance(%L, %L)', tests.instance_id(tests.tenant_a(), n),
    tests.definition_id('Salesforce', '1.1.0')),
  'IN202', null, 'upgrade_instance refuses a ' || n || ' instance')
from pg_catalog.unnest(array['disabled', 'revoked']) as n;
select is(
  tests.error_of(
    pg_catalog.format(
      'select integrations.upgrade_instance(%L, %L)', tests.instance_id(tests.tenant_a()),
      tests.definition_id('Salesforce', '2.0.0')))
  - 'context' - 'message' - 'hint',
  '{"sqlstate": "IN203", "detail": "Pointer \"\", keyword \"required\": \"region\" is missing."}',
  'upgrade_instance refuses a version that the config does not fit');
select throws_ok(
  $$
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_a(), 'stored'), tests.definition_id('Salesforce', '3.0.0'))
  $$,
  'IN302', null, 'credentials that are to be checked must be unlocked');
select tests.unchanged('refused calls change nothing');

select lives_ok(
  $$
    select integrations.update_config(tests.instance_id(tests.tenant_a()), '{"region": "eu"}');
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_a()), tests.definition_id('Salesforce', '2.0.0'))
  $$,
  'with a config that fits it moves');
select throws_ok(
  $$ select integrations.update_config(tests.instance_id(tests.tenant_a()), '{}') $$,
  'IN203', null, 'and is held to it');
select lives_ok(
  pg_catalog.format(
    'select integrations.upgrade_instance(%L, %L)', tests.instance_id(tests.tenant_a(), v.name),
    tests.definition_id('Salesforce', v.version)),
  v.name || ' moves without keys to ' || v.version || ': there is nothing to check')
from (values ('crm', '3.0.0'), ('crm', '1.0.0'), ('stored', '1.1.0'), ('failed', '1.1.0'))
  as v (name, version);

select tests.as_service(tests.tenant_a());
do $$
begin
  perform integrations.unlock('kek-1', tests.kek());
end
$$;
select throws_ok(
  $$
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_a(), 'stored'), tests.definition_id('Salesforce', '4.0.0'))
  $$,
  'IN204', null, 'unlocked credentials that do not fit are refused');
select lives_ok(
  $$
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_a(), 'stored'), tests.definition_id('Salesforce', '3.0.0'))
  $$,
  'and those that fit are taken');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'stored')),
  '{"token": "t0"}', 'and can be read');
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_a(), 'stored'), '{}') $$,
  'IN204', null, 'new ones are held to the new version');
select tests.as_tenant(tests.tenant_a());
select lives_ok(
  $$
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_a(), 'stored'), tests.definition_id('Salesforce', '3.1.0'))
  $$,
  'to the same schema of credentials they move unread');

select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format(
    $$
      select integrations.upgrade_instance(
               tests.instance_id(tests.tenant_a(), 'stored'),
               tests.definition_id('Salesforce', '4.0.0'))
       where pg_catalog.set_config('integrations.keyring', %L, true) is not null
    $$,
    tests.tenant_a() || '|' || (tests.active_key(tests.tenant_a())).id || '='
      || pg_catalog.repeat('0', 64)),
  'IN303', null, 'upgrade_instance refuses a preset key of zeros');
select tests.as_superuser();
update integrations_private.tenant_keys set state = 'retired' where tenant_id = tests.tenant_a();
select tests.as_service(tests.tenant_a());
select throws_ok(
  $$
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_a(), 'stored'), tests.definition_id('Salesforce', '4.0.0'))
  $$,
  'IN307', null, 'upgrade_instance refuses credentials under a key that is out of use');

select tests.as_tenant(null);
select throws_ok(
  $$
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_a()), tests.definition_id('Salesforce', '1.1.0'))
  $$,
  'IN001', null, 'upgrade_instance needs a tenant');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$
    select integrations.upgrade_instance(
      tests.instance_id(tests.tenant_a()), tests.definition_id('Salesforce', '1.1.0'))
  $$,
  '42501', null, 'an administrator may not upgrade');

select * from finish();
rollback;
