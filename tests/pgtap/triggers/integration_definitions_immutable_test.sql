-- Tests triggers/integration_definitions_immutable: for every role, a superuser too.
begin;
select plan(68);

select has_function(
  'integrations_private', 'tg_integration_definitions__immutable',
  array[]::name[]
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.tg_integration_definitions__immutable()'::regprocedure
  ),
  '',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'tg_integration_definitions__immutable',
  array[]::name[],
  'trigger'
);
select function_lang_is(
  'integrations_private', 'tg_integration_definitions__immutable',
  array[]::name[],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'tg_integration_definitions__immutable',
  array[]::name[],
  'volatile'
);
select isnt_definer(
  'integrations_private', 'tg_integration_definitions__immutable',
  array[]::name[]
);
select function_owner_is(
  'integrations_private', 'tg_integration_definitions__immutable',
  array[]::name[],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.tg_integration_definitions__immutable()',
  array[]::name[]
);
select triggers_are(
  'integrations', 'integration_definitions', array['_100_immutable', '_110_no_truncate']);
select results_eq(
  $$
    select t.tgname::text collate "default", t.tgenabled::text, t.tgtype::integer, t.tgqual is null,
           t.tgattr::text
      from pg_catalog.pg_trigger as t
     where t.tgrelid = 'integrations.integration_definitions'::regclass
       and not t.tgisinternal
     order by t.tgname
  $$,
  -- 27 = row, before, delete, update; 34 = before, truncate.
  $$ values ('_100_immutable', 'A', 27, true, ''), ('_110_no_truncate', 'A', 34, true, '') $$,
  'they fire before every change of every column, always, without condition');

do $$
begin
  perform integrations.register_definition(
    'Salesforce', 'oauth2', '1.0.0', 'https://example.com', 'CRM');
  perform integrations.set_definition_status(tests.definition_id('Salesforce'), 'published');
  perform tests.a_definition('Xero', 'draft');
  perform tests.remember();
end
$$;

-- Row by row and role by role; a published definition and a draft alike.
create temporary table attempt on commit drop as
select d.name, v.assignment
  from pg_catalog.unnest(array['Salesforce', 'Xero']) as d (name)
       cross join (
         values ('id = tests.nobody()'),
                ('name = ''Other'''),
                ('name = name || '' '''),
                ('type = ''basic'''),
                ('version = ''2.0.0'''),
                ('docs_url = ''https://example.org'''),
                ('description = ''other'''),
                ('description = '''''),
                ('credentials_schema = ''{"type": "object"}'''),
                ('credentials_schema = ''true'''),
                ('config_schema = ''{"a": 1}'''),
                ('created_at = created_at + interval ''1 microsecond'''),
                ('status = ''retired'', name = ''Other''')
       ) as v (assignment);
-- NULL slips by a comparison with <>.
insert into attempt
values ('Salesforce', 'docs_url = null'),
       ('Salesforce', 'description = null'),
       ('Xero', 'docs_url = ''https://example.com'''),
       ('Xero', 'description = ''once null''');
grant select on attempt to integrations_owner;

select tests.as_superuser();
select throws_ok(
  pg_catalog.format(
    'update integrations.integration_definitions set %s where name = %L', a.assignment, a.name),
  'IN102', 'integration definition is immutable',
  pg_catalog.format('a superuser does not set %s of %s', a.assignment, a.name))
from attempt as a;
select throws_ok(
  $$ update integrations.integration_definitions set status = 'draft' where name = 'Salesforce' $$,
  'IN104', 'status cannot move that way', 'a superuser does not move a definition back');
select throws_ok(
  $$ delete from integrations.integration_definitions where name = 'Salesforce' $$,
  'IN102', null, 'a superuser does not delete a published one');
select throws_ok(
  'delete from integrations.integration_definitions', 'IN102', null,
  'nor with the draft beside it');
select throws_ok(
  'truncate integrations.integration_definitions, integrations.integration_instances, '
    'integrations_private.refresh_leases, integrations_private.compiled_schemas', 'IN102',
  null,
  'a superuser does not empty the table');
select throws_ok(
  $$
    insert into integrations.integration_definitions (name, type, version)
    values ('Salesforce', 'basic', '1.0.0')
    on conflict (name, version) do update set type = excluded.type
  $$,
  'IN102', null, 'an upsert is an update');
set local session_replication_role = replica;
select throws_ok(
  $$ update integrations.integration_definitions set type = 'basic' where name = 'Salesforce' $$,
  'IN102', null, 'a replica does not change one');
select throws_ok(
  'truncate integrations.integration_definitions, integrations.integration_instances, '
    'integrations_private.refresh_leases, integrations_private.compiled_schemas', 'IN102',
  null,
  'a replica does not empty the table');
set local session_replication_role = origin;

select tests.as_owner();
select throws_ok(
  pg_catalog.format(
    'update integrations.integration_definitions set %s where name = %L', a.assignment, a.name),
  'IN102', null, pg_catalog.format('the owner does not set %s of %s', a.assignment, a.name))
from attempt as a
where a.name = 'Salesforce';
select tests.unchanged('every definition is as it was');

-- What is allowed.
select lives_ok(
  $$
    update integrations.integration_definitions
       set status = 'deprecated', updated_at = pg_catalog.clock_timestamp()
     where name = 'Salesforce'
  $$,
  'status and updated_at change');
select lives_ok(
  $$ delete from integrations.integration_definitions where name = 'Xero' $$,
  'a draft is deleted');
select results_eq(
  'select name::text, status::text from integrations.integration_definitions',
  $$ values ('Salesforce', 'deprecated') $$, 'and that is all that has happened');

select * from finish();
rollback;
