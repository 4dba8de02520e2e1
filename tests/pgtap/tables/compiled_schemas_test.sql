-- Tests tables/compiled_schemas.
begin;
select plan(19);

select columns_are(
  'integrations_private', 'compiled_schemas', array['definition_id', 'kind', 'schema', 'rules']);
select results_eq(
  $$
    select a.attname::text collate "default",
           pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated::text,
           pg_catalog.pg_get_expr(d.adbin, d.adrelid) collate "default"
      from pg_catalog.pg_attribute as a
           left join pg_catalog.pg_attrdef as d
             on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = 'integrations_private.compiled_schemas'::regclass
       and a.attnum > 0
       and not a.attisdropped
     order by a.attnum
  $$,
  $$
    values ('definition_id', 'uuid', true, '', null),
           ('kind', 'text', true, '', null),
           ('schema', 'jsonb', true, '', null),
           ('rules', 'jsonb', true, 's',
            'integrations_private.compile_schema(schema, (kind || ''_schema''::text))')
  $$,
  'its columns are in this order, of these types, with these defaults'
);
select table_owner_is(
  'integrations_private', 'compiled_schemas', 'integrations_owner', 'its owner');
select col_is_pk(
  'integrations_private', 'compiled_schemas', array['definition_id', 'kind'], 'its primary key');
select indexes_are(
  'integrations_private', 'compiled_schemas', array['compiled_schemas_pkey']);
select fk_ok(
  'integrations_private', 'compiled_schemas', 'definition_id',
  'integrations', 'integration_definitions', 'id');
select set_eq(
  $$
    select c.conname::text
      from pg_catalog.pg_constraint as c
     where c.conrelid = 'integrations_private.compiled_schemas'::regclass
       and c.contype <> 'n'
  $$,
  array[
    'compiled_schemas_definition_id_fkey', 'compiled_schemas_kind_is_known',
    'compiled_schemas_pkey'
  ],
  'its constraints are these'
);

do $$
begin
  perform tests.a_definition('Salesforce', 'draft');
end
$$;
select tests.as_owner();
select throws_ok(
  pg_catalog.format(
    'insert into integrations_private.compiled_schemas (definition_id, kind, schema)'
    ' values (%L, %L, %L)',
    case v.what when 'an unknown definition' then tests.nobody()
      else tests.definition_id('Salesforce') end,
    v.kind, v.schema),
  v.sqlstate, null, 'the table refuses ' || v.what)
from (
  values ('an unknown definition', 'config', '{}', '23503'),
         ('a kind of its own', 'options', '{}', '23514'),
         ('no schema', 'config', null, '23502'),
         ('what is no schema', 'config', '{"type": 1}', 'IN105')
) as v (what, kind, schema, sqlstate);
insert into integrations_private.compiled_schemas (definition_id, kind, schema)
values (tests.definition_id('Salesforce'), 'config', '{"minProperties": 1}');
select throws_ok(
  $$ update integrations_private.compiled_schemas set rules = '[{}]' $$, '428C9', null,
  'nobody writes rules');
reset role;
select throws_ok(
  $$ update integrations_private.compiled_schemas set rules = '[{}]' $$, '428C9', null,
  'not even a superuser');
select lives_ok(
  $$ select integrations.discard_draft(tests.definition_id('Salesforce')) $$,
  'a draft is discarded');
select is_empty('select from integrations_private.compiled_schemas', 'with its rules');

select tests.as_role(r, tests.tenant_a())
from pg_catalog.unnest(array['svc_integration', 'integrations_admin']) as r;
select throws_ok(
  'select from integrations_private.compiled_schemas', '42501', null, 'nobody reads it');

select * from finish();
rollback;
