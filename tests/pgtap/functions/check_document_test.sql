-- Tests functions/check_document.
begin;
select plan(25);

select has_function('integrations_private', 'check_document', array['uuid', 'text', 'jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.check_document(uuid,text,jsonb)'::regprocedure
  ),
  'integration_id uuid, kind text, document jsonb',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'check_document',
  array['uuid', 'text', 'jsonb'],
  'jsonb'
);
select function_lang_is(
  'integrations_private', 'check_document',
  array['uuid', 'text', 'jsonb'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'check_document',
  array['uuid', 'text', 'jsonb'],
  'stable'
);
select isnt_definer('integrations_private', 'check_document', array['uuid', 'text', 'jsonb']);
select function_owner_is(
  'integrations_private', 'check_document',
  array['uuid', 'text', 'jsonb'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.check_document(uuid,text,jsonb)', array[]::name[]);

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
insert into integrations.integration_definitions (name, type, version, config_schema)
values ('By hand', 'api_key', '1.0.0', '{"maxProperties": 1}');

select tests.as_owner();
select is(
  integrations_private.check_document(tests.definition_id(v.name), v.kind, v.document::jsonb),
  v.document::jsonb, v.name || ' takes ' || v.document || ' as ' || v.kind)
from (
  values ('Both', 'credentials', '{"api_key": "secret"}'),
         ('Both', 'config', '{"region": "eu"}'),
         ('Both', 'config', '{}'),
         ('Neither', 'credentials', '{"a": 1}'),
         ('Neither', 'config', '{"a": 1}'),
         ('By hand', 'credentials', '{"a": 1, "b": 2}'),
         ('By hand', 'config', '{"a": 1}')
) as v (name, kind, document);
select results_eq(
  pg_catalog.format(
    'select tests.error_of(%L) - ''context''',
    pg_catalog.format(
      'select integrations_private.check_document(%L, %L, %L)', tests.definition_id(v.name), v.kind,
      v.document)),
  pg_catalog.format(
    'select pg_catalog.jsonb_build_object(%L, %L, %L, %L, %L, %L, %L, %L)',
    'sqlstate', case v.kind when 'config' then 'IN203' else 'IN204' end,
    'message', case v.kind when 'config' then 'config does not fit the schema of the definition'
                 else 'credentials do not fit the schema of the definition' end,
    'detail', v.detail,
    'hint', 'The schema is ' || v.kind || '_schema of the instance''s definition.'),
  v.name || ' refuses ' || v.document || ' as ' || v.kind)
from (
  values ('Both', 'credentials', '{}', 'Pointer "", keyword "required": "api_key" is missing.'),
         ('Both', 'credentials', '{"api_key": "sesa"}', 'Pointer "/api_key", keyword "minLength".'),
         ('Both', 'config', '{"region": "secret"}', 'Pointer "/region", keyword "enum".'),
         ('By hand', 'config', '{"a": 1, "b": 2}', 'Pointer "", keyword "maxProperties".')
) as v (name, kind, document, detail);
select is(
  tests.error_of(
    pg_catalog.format(
      'select integrations_private.check_document(%L, ''config'', %L)',
      tests.definition_id('Both'),
      pg_catalog.jsonb_build_object('s', pg_catalog.repeat('x', 9000))))
  ->> 'detail',
  'It could not be checked: a string of over 8192 characters meets a pattern.',
  'beyond a limit it says which');

reset role;
update integrations_private.compiled_schemas set schema = '{}' where kind = 'credentials';
select tests.as_owner();
select throws_ok(
  pg_catalog.format(
    'select integrations_private.check_document(%L, ''credentials'', ''{}'')',
    tests.definition_id('Both')),
  'IN204', null, 'rules of another schema than the definition''s count for nothing');
reset role;
delete from integrations_private.compiled_schemas;
select tests.as_owner();
select throws_ok(
  pg_catalog.format(
    'select integrations_private.check_document(%L, ''credentials'', ''{}'')',
    tests.definition_id('Both')),
  'IN204', null, 'and without rules the schema counts all the same');

select * from finish();
rollback;
