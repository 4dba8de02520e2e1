-- Tests tables/integration_definitions: its shape, and what it refuses from anybody.
begin;
select plan(33);

select columns_are(
  'integrations', 'integration_definitions',
  array[
    'id', 'name', 'type', 'version', 'status', 'docs_url', 'description', 'credentials_schema',
    'config_schema', 'created_at', 'updated_at'
  ]);
select results_eq(
  $$
    select a.attname::text collate "default",
           pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
           case when a.attgenerated = '' then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end
             collate "default"
      from pg_catalog.pg_attribute as a
           left join pg_catalog.pg_attrdef as d
             on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = 'integrations.integration_definitions'::regclass
       and a.attnum > 0
       and not a.attisdropped
     order by a.attnum
  $$,
  $$
    values ('id', 'uuid', true, 'gen_random_uuid()'),
           ('name', 'character varying', true, null),
           ('type', 'character varying', true, null),
           ('version', 'character varying', true, null),
           ('status', 'integrations.integration_definition_status', true,
            '''draft''::integrations.integration_definition_status'),
           ('docs_url', 'character varying', false, null),
           ('description', 'text', false, null),
           ('credentials_schema', 'jsonb', true, '''{}''::jsonb'),
           ('config_schema', 'jsonb', true, '''{}''::jsonb'),
           ('created_at', 'timestamp with time zone', true, 'now()'),
           ('updated_at', 'timestamp with time zone', true, 'now()')
  $$,
  'its columns are in this order, of these types, with these defaults'
);
select table_owner_is(
  'integrations', 'integration_definitions', 'integrations_owner', 'its owner');
select col_is_pk(
  'integrations', 'integration_definitions', 'id',
  'its primary key');
select col_is_unique(
  'integrations', 'integration_definitions', array['name', 'version'],
  'its unique key');
select indexes_are(
  'integrations', 'integration_definitions',
  array['integration_definitions_pkey', 'integration_definitions_name_version_key']);
select set_eq(
  $$
    -- Since PostgreSQL 18 NOT NULL is a constraint too.
    select c.conname::text
      from pg_catalog.pg_constraint as c
     where c.conrelid = 'integrations.integration_definitions'::regclass
       and c.contype <> 'n'
  $$,
  array[
    'integration_definitions_docs_url_is_http',
    'integration_definitions_name_is_valid',
    'integration_definitions_name_version_key',
    'integration_definitions_pkey',
    'integration_definitions_schemas_are_schemas',
    'integration_definitions_type_is_valid',
    'integration_definitions_version_is_semver'
  ],
  'its constraints are these'
);

do $$
begin
  perform tests.a_definition('Salesforce');
  perform tests.remember();
end
$$;
select tests.as_owner();
select throws_ok(
  pg_catalog.format(
    'insert into integrations.integration_definitions (name, type, version, %s)
     values (''X'', ''oauth2'', ''1.0.0'', %L)', v.field, v.value),
  '23514', null, 'the table refuses ' || v.field || ' ' || pg_catalog.quote_literal(v.value))
from (
  values ('docs_url', ''),
         ('docs_url', 'ftp://example.com'),
         ('docs_url', 'https://example.com/a b'),
         ('credentials_schema', '[]'),
         ('credentials_schema', '"x"'),
         ('config_schema', 'null'),
         ('config_schema', '1')
) as v (field, value);
select throws_ok(
  pg_catalog.format(
    'insert into integrations.integration_definitions (name, type, version) values (%L, %L, %L)',
    v.name, v.type, v.version),
  v.sqlstate, null, 'the table refuses ' || v.what)
from (
  values ('a null name', null, 'oauth2', '1.0.0', '23502'),
         ('a null type', 'X', null, '1.0.0', '23502'),
         ('a null version', 'X', 'oauth2', null, '23502'),
         ('a blank name', ' ', 'oauth2', '1.0.0', '23514'),
         ('a type in capitals', 'X', 'OAuth2', '1.0.0', '23514'),
         ('a version that is not semantic', 'X', 'oauth2', '1.0', '23514'),
         ('a name and version that exist', 'Salesforce', 'oauth2', '1.0.0', '23505')
) as v (what, name, type, version, sqlstate);
select lives_ok(
  pg_catalog.format(
    'insert into integrations.integration_definitions (name, type, version)
     values (''Y'', ''oauth2'', %L)', v),
  'the table takes version ' || v)
from pg_catalog.unnest(array[
       '0.0.0', '1.2.3', '10.20.30', '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-0.3.7',
       '1.0.0-x-y-z.--', '1.0.0+20130313144700', '1.0.0-beta+exp.sha.5114f85', '1.0.0+001'
     ]) as v;
select is(
  (select pg_catalog.count(*) from integrations.integration_definitions), 11::bigint,
  'those and no other are there');

select * from finish();
rollback;
