-- Tests functions/schema_violation.
begin;
select plan(25);

select has_function('integrations_private', 'schema_violation', array['uuid', 'text', 'jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.schema_violation(uuid,text,jsonb)'::regprocedure
  ),
  'integration_id uuid, kind text, document jsonb',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'schema_violation',
  array['uuid', 'text', 'jsonb'],
  'text'
);
select function_lang_is(
  'integrations_private', 'schema_violation',
  array['uuid', 'text', 'jsonb'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'schema_violation',
  array['uuid', 'text', 'jsonb'],
  'stable'
);
select isnt_definer('integrations_private', 'schema_violation', array['uuid', 'text', 'jsonb']);
select function_owner_is(
  'integrations_private', 'schema_violation',
  array['uuid', 'text', 'jsonb'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.schema_violation(uuid,text,jsonb)',
  array[]::name[]
);

do $$
begin
  perform integrations.register_definition(
    'Both', 'api_key', '1.0.0',
    credentials_schema => '{"required": ["api_key"], "properties": {"api_key": {"minLength": 5}}}',
    config_schema => '{"properties": {"region": {"enum": ["eu", "us"]}, "s": {"pattern": "x"}}}');
  perform tests.a_definition('Neither');
end
$$;
-- As somebody may do who writes to the table by hand.
insert into integrations.integration_definitions
  (name, type, version, credentials_schema, config_schema)
values
  ('By hand', 'api_key', '1.0.0', '{"type": "any"}', '{"maxProperties": 1}');

select tests.as_owner();
select is(
  integrations_private.schema_violation(tests.definition_id(v.name), v.kind, v.document::jsonb),
  v.detail, v.document || ' as ' || v.kind || ' of ' || v.name)
from (
  values ('Both', 'credentials', '{"api_key": "secret"}', null),
         ('Both', 'credentials', '{}', 'Pointer "", keyword "required": "api_key" is missing.'),
         ('Both', 'credentials', '{"api_key": "sesa"}', 'Pointer "/api_key", keyword "minLength".'),
         ('Both', 'config', '{}', null),
         ('Both', 'config', '{"region": "eu"}', null),
         ('Both', 'config', '{"region": "secret"}', 'Pointer "/region", keyword "enum".'),
         ('Neither', 'credentials', '{"a": 1}', null),
         ('Neither', 'config', '{"a": 1}', null),
         ('By hand', 'config', '{"a": 1}', null),
         ('By hand', 'config', '{"a": 1, "b": 2}', 'Pointer "", keyword "maxProperties".'),
         ('By hand', 'credentials', '{}',
          'It could not be checked: schema is invalid or not supported.')
) as v (name, kind, document, detail);
select is(
  integrations_private.schema_violation(
    tests.definition_id('Both'), 'config',
    pg_catalog.jsonb_build_object('s', pg_catalog.repeat('x', 9000))),
  'It could not be checked: a string of over 8192 characters meets a pattern.',
  'beyond a limit it says which');

reset role;
update integrations_private.compiled_schemas set schema = '{}' where kind = 'credentials';
select tests.as_owner();
select isnt(
  integrations_private.schema_violation(tests.definition_id('Both'), 'credentials', '{}'), null,
  'rules of another schema than the definition''s count for nothing');
reset role;
delete from integrations_private.compiled_schemas;
select tests.as_owner();
select isnt(
  integrations_private.schema_violation(tests.definition_id('Both'), 'credentials', '{}'), null,
  'and without rules the schema counts all the same');

select * from finish();
rollback;
