-- Tests functions/register_definition.
begin;
select plan(71);

select has_function(
  'integrations', 'register_definition',
  array['text', 'text', 'text', 'text', 'text', 'jsonb', 'jsonb']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.register_definition(text,text,text,text,text,jsonb,jsonb)'::regprocedure
  ),
  'name text, type text, version text, docs_url text DEFAULT NULL::text, '
    || 'description text DEFAULT NULL::text, '
    || 'credentials_schema jsonb DEFAULT ''{}''::jsonb, '
    || 'config_schema jsonb DEFAULT ''{}''::jsonb',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'register_definition',
  array['text', 'text', 'text', 'text', 'text', 'jsonb', 'jsonb'],
  'uuid'
);
select function_lang_is(
  'integrations', 'register_definition',
  array['text', 'text', 'text', 'text', 'text', 'jsonb', 'jsonb'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'register_definition',
  array['text', 'text', 'text', 'text', 'text', 'jsonb', 'jsonb'],
  'volatile'
);
select is_definer(
  'integrations', 'register_definition',
  array['text', 'text', 'text', 'text', 'text', 'jsonb', 'jsonb']
);
select function_owner_is(
  'integrations', 'register_definition',
  array['text', 'text', 'text', 'text', 'text', 'jsonb', 'jsonb'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.register_definition(text,text,text,text,text,jsonb,jsonb)',
  array['integrations_admin']
);

select tests.as_admin();
select ok(
  integrations.register_definition(
    name => 'Salesforce', type => 'oauth2', version => '1.0.0-rc.1+build.5',
    docs_url => 'https://developer.salesforce.com/docs', description => 'CRM',
    credentials_schema => '{}', config_schema => '{}') is not null,
  'a definition is registered, with all arguments by name');
select results_eq(
  $$
    select name::text, type::text, version::text, status::text, docs_url::text, description,
           credentials_schema, config_schema, created_at = updated_at
      from integrations.integration_definitions
  $$,
  $$
    values ('Salesforce', 'oauth2', '1.0.0-rc.1+build.5', 'draft',
            'https://developer.salesforce.com/docs', 'CRM', '{}'::jsonb, '{}'::jsonb, true)
  $$,
  'it is a draft and holds what was given');
select lives_ok(
  $$ select integrations.register_definition('Xero', 'api_key', '1.0.0') $$,
  'three arguments are enough');
select lives_ok(
  $$ select integrations.register_definition('Salesforce', 'oauth2', '1.0.0') $$,
  'another version of the same connector is another definition');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.register_definition('Xero', 'oauth2', '1.0.0') $$, '23505', null,
  'register_definition refuses a name and version that exist');
select throws_ok(
  pg_catalog.format(
    'select integrations.register_definition(%L, %L, %L, %L)', v.name, v.type, v.version, v.url),
  '22023', null, 'register_definition refuses ' || v.what)
from (
  values ('a null name', null, 'oauth2', '1.0.0', null),
         ('a null type', 'X', null, '1.0.0', null),
         ('a null version', 'X', 'oauth2', null, null),
         ('an empty name', '', 'oauth2', '1.0.0', null),
         ('a blank name', E' \t', 'oauth2', '1.0.0', null),
         ('a name of 201 characters', pg_catalog.repeat('a', 201), 'oauth2', '1.0.0', null),
         ('an empty type', 'X', '', '1.0.0', null),
         ('a type in capitals', 'X', 'OAuth2', '1.0.0', null),
         ('a type with a blank', 'X', 'api key', '1.0.0', null),
         ('a type that begins with a digit', 'X', '2oauth', '1.0.0', null),
         ('a type that ends in a newline', 'X', E'oauth2\n', '1.0.0', null),
         ('a type of 64 characters', 'X', pg_catalog.repeat('a', 64), '1.0.0', null),
         ('an empty version', 'X', 'oauth2', '', null),
         ('a version of one number', 'X', 'oauth2', '1', null),
         ('a version of two numbers', 'X', 'oauth2', '1.0', null),
         ('a version of four numbers', 'X', 'oauth2', '1.0.0.0', null),
         ('a version with a leading zero', 'X', 'oauth2', '01.0.0', null),
         ('a version with a v', 'X', 'oauth2', 'v1.0.0', null),
         ('an empty pre-release', 'X', 'oauth2', '1.0.0-', null),
         ('a pre-release with a leading zero', 'X', 'oauth2', '1.0.0-01', null),
         ('an empty build', 'X', 'oauth2', '1.0.0+', null),
         ('a version that ends in a newline', 'X', 'oauth2', E'1.0.0\n', null),
         ('a version of 101 characters', 'X', 'oauth2',
          '1.0.0-' || pg_catalog.repeat('a', 95), null),
         ('an empty docs_url', 'X', 'oauth2', '1.0.0', ''),
         ('a docs_url without a host', 'X', 'oauth2', '1.0.0', 'https://'),
         ('a docs_url of another scheme', 'X', 'oauth2', '1.0.0', 'ftp://example.com'),
         ('a docs_url that is a script', 'X', 'oauth2', '1.0.0', 'javascript:alert(1)'),
         ('a docs_url with a blank', 'X', 'oauth2', '1.0.0', 'https://example.com/a b'),
         ('a docs_url of 2001 characters', 'X', 'oauth2', '1.0.0',
          'https://' || pg_catalog.repeat('a', 1993))
) as v (what, name, type, version, url);
select throws_ok(
  $$
    select integrations.register_definition('X', 'oauth2', '1.0.0', credentials_schema => null)
  $$,
  '22023', null, 'register_definition refuses a null credentials_schema');
select throws_ok(
  $$ select integrations.register_definition('X', 'oauth2', '1.0.0', config_schema => null) $$,
  '22023', null, 'register_definition refuses a null config_schema');
select throws_ok(
  pg_catalog.format(
    'select integrations.register_definition(''X'', ''oauth2'', ''1.0.0'', %s => %L)', p, s),
  'IN105', 'schema is invalid or not supported',
  'register_definition refuses ' || s || ' as ' || p)
from pg_catalog.unnest(array['credentials_schema', 'config_schema']) as p
     cross join pg_catalog.unnest(
       array[
         '[]', '"x"', 'null', '{"type": "any"}', '{"properties": {"a": {"$ref": "#/b"}}}',
         '{"unevaluatedProperties": false}'
       ]) as s;
select is(
  tests.error_of(
    $$
      select integrations.register_definition(
        'X', 'oauth2', '1.0.0', config_schema => '{"properties": {"a/b": {"minLength": -1}}}')
    $$)
    ->> 'detail',
  'config_schema, pointer "/properties/a~1b/minLength": '
    || 'it must be an integer from 0 to 2147483647.',
  'the refusal says which schema, where and why');
select is(
  tests.error_of(
    $$ select integrations.register_definition('X', 'OAuth2', '1.0.0', null, 'internal') $$)
    ->> 'detail',
  '', 'a refusal does not print the row');
select tests.unchanged('what was refused is not there');

select tests.as_service(null);
select throws_ok(
  $$ select integrations.register_definition('X', 'oauth2', '1.0.0') $$, '42501', null,
  'the service may not register');
select tests.as_tenant(null);
select throws_ok(
  $$ select integrations.register_definition('X', 'oauth2', '1.0.0') $$, '42501', null,
  'an application may not register');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.register_definition('X', 'oauth2', '1.0.0') $$, '42501', null,
  'an auditor may not register');
select tests.unchanged('what was denied is not there');

select tests.as_admin();
select lives_ok(
  $$
    select integrations.register_definition(
      'With schemas', 'oauth2', '1.0.0', credentials_schema => '{"type": "object"}');
    select integrations.register_definition('With schemas', 'oauth2', '1.0.1', config_schema => 'true');
    select integrations.register_definition('With schemas', 'oauth2', '1.0.2')
  $$,
  'schemas are taken');
select tests.as_owner();
select results_eq(
  $$
    select d.version::text, c.kind, c.schema, c.rules
      from integrations_private.compiled_schemas as c
           join integrations.integration_definitions as d on d.id = c.definition_id
     where d.name = 'With schemas'
     order by d.version
  $$,
  $$
    values ('1.0.0', 'credentials', '{"type": "object"}'::jsonb, '[{"type": ["object"]}]'::jsonb),
           ('1.0.1', 'config', 'true', '[{}]')
  $$,
  'and compiled, but for those that take everything');

select * from finish();
rollback;
