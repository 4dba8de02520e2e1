-- Tests functions/discard_draft.
begin;
select plan(18);

select has_function('integrations', 'discard_draft', array['uuid']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.discard_draft(uuid)'::regprocedure
  ),
  'definition_id uuid',
  'its parameters are called by these names'
);
select function_returns('integrations', 'discard_draft', array['uuid'], 'void');
select function_lang_is('integrations', 'discard_draft', array['uuid'], 'plpgsql');
select volatility_is('integrations', 'discard_draft', array['uuid'], 'volatile');
select is_definer('integrations', 'discard_draft', array['uuid']);
select function_owner_is('integrations', 'discard_draft', array['uuid'], 'integrations_owner');
select tests.executable_by('integrations.discard_draft(uuid)', array['integrations_admin']);

do $$
begin
  perform tests.a_definition('Salesforce', 'draft');
  perform tests.a_definition('Xero', 'published');
  perform tests.a_definition('Slack', 'retired');
  perform tests.remember();
end
$$;

select tests.as_service(null);
select throws_ok(
  $$ select integrations.discard_draft(tests.definition_id('Salesforce')) $$, '42501', null,
  'the service may not discard a draft');
select tests.as_admin();
select throws_ok(
  $$ select integrations.discard_draft(null) $$, '22023', null, 'discard_draft refuses null');
select throws_ok(
  $$ select integrations.discard_draft(tests.nobody()) $$, 'IN101',
  'integration definition not found', 'discard_draft does not find an unknown id');
select throws_ok(
  $$ select integrations.discard_draft(tests.definition_id('Xero')) $$, 'IN102',
  'integration definition is immutable', 'discard_draft refuses a published definition');
select throws_ok(
  $$ select integrations.discard_draft(tests.definition_id('Slack')) $$, 'IN102',
  null, 'discard_draft refuses a retired definition');
select tests.unchanged('all three are still there');

select lives_ok(
  $$ select integrations.discard_draft(tests.definition_id('Salesforce')) $$,
  'a draft is discarded');
select results_eq(
  'select name::text from integrations.integration_definitions order by name',
  array['Slack', 'Xero'], 'that one and no other is gone');

select * from finish();
rollback;
