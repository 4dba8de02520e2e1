-- Tests functions/set_definition_status. The whole life is told in scenarios/life_of_a_definition.
begin;
select plan(22);

select has_function(
  'integrations', 'set_definition_status',
  array['uuid', 'integrations.integration_definition_status']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.set_definition_status('
    'uuid,integrations.integration_definition_status)'::regprocedure
  ),
  'definition_id uuid, status integrations.integration_definition_status',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'set_definition_status',
  array['uuid', 'integrations.integration_definition_status'],
  'void'
);
select function_lang_is(
  'integrations', 'set_definition_status',
  array['uuid', 'integrations.integration_definition_status'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'set_definition_status',
  array['uuid', 'integrations.integration_definition_status'],
  'volatile'
);
select is_definer(
  'integrations', 'set_definition_status',
  array['uuid', 'integrations.integration_definition_status']
);
select function_owner_is(
  'integrations', 'set_definition_status',
  array['uuid', 'integrations.integration_definition_status'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.set_definition_status(uuid,integrations.integration_definition_status)',
  array['integrations_admin']
);

do $$
begin
  perform tests.a_definition('Salesforce', 'draft');
end
$$;

select tests.as_admin();
select lives_ok(
  $$ select integrations.set_definition_status(tests.definition_id('Salesforce'), 'published') $$,
  'a draft is published');
select results_eq(
  $$
    select status::text, updated_at > created_at, name::text
      from integrations.integration_definitions
  $$,
  $$ values ('published', true, 'Salesforce') $$,
  'its status has moved, and the move is dated');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.set_definition_status(null, 'published') $$, '22023', null,
  'set_definition_status refuses a null id');
select throws_ok(
  $$ select integrations.set_definition_status(tests.definition_id('Salesforce'), null) $$,
  '22023', null, 'set_definition_status refuses a null status');
select throws_ok(
  $$ select integrations.set_definition_status(tests.definition_id('Salesforce'), 'gone') $$,
  '22P02', null, 'set_definition_status refuses a status that there is not');
select throws_ok(
  $$ select integrations.set_definition_status(tests.nobody(), 'published') $$, 'IN101',
  'integration definition not found', 'set_definition_status does not find an unknown id');
select throws_ok(
  $$ select integrations.set_definition_status(tests.definition_id('Salesforce'), 'draft') $$,
  'IN104', 'status cannot move that way', 'set_definition_status refuses a step back');
select throws_ok(
  $$ select integrations.set_definition_status(tests.definition_id('Salesforce'), 'published') $$,
  'IN104', null, 'set_definition_status refuses to stand still');
select tests.as_service(null);
select throws_ok(
  $$ select integrations.set_definition_status(tests.definition_id('Salesforce'), 'retired') $$,
  '42501', null, 'the service may not move a definition');
select tests.as_tenant(null);
select throws_ok(
  $$ select integrations.set_definition_status(tests.definition_id('Salesforce'), 'retired') $$,
  '42501', null, 'an application may not move a definition');
select tests.unchanged('refused moves change nothing');

select * from finish();
rollback;
