-- A definition goes forward only; steps may be skipped.
begin;
select plan(40);

do $$
begin
  perform tests.a_definition(o || ' to ' || n, o)
     from pg_catalog.unnest(
            pg_catalog.enum_range(null::integrations.integration_definition_status)) as o
          cross join pg_catalog.unnest(
            pg_catalog.enum_range(null::integrations.integration_definition_status)) as n;
  perform tests.remember();
end
$$;

select tests.as_admin();
create temporary table move on commit drop as
select o as old_status, n as new_status, tests.definition_id(o || ' to ' || n) as id
  from pg_catalog.unnest(
         pg_catalog.enum_range(null::integrations.integration_definition_status)) as o
       cross join pg_catalog.unnest(
         pg_catalog.enum_range(null::integrations.integration_definition_status)) as n;

select throws_ok(
  pg_catalog.format('select integrations.set_definition_status(%L, %L)', m.id, m.new_status),
  'IN104', 'status cannot move that way',
  'set_definition_status refuses ' || m.old_status || ' to ' || m.new_status)
from move as m
where m.old_status >= m.new_status;
select tests.unchanged('what is refused does not move');

-- The trigger says the same to those who do not use the function; to stand still is no change.
select tests.as_superuser();
select throws_ok(
  pg_catalog.format(
    'update integrations.integration_definitions set status = %L where id = %L',
    m.new_status, m.id),
  'IN104', null, 'a superuser is refused ' || m.old_status || ' to ' || m.new_status)
from move as m
where m.old_status > m.new_status;
select throws_ok(
  pg_catalog.format('delete from integrations.integration_definitions where id = %L', m.id),
  'IN102', null, 'a superuser does not delete what is ' || m.old_status)
from move as m
where m.old_status <> 'draft' and m.old_status = m.new_status;
select tests.unchanged('what is refused does not move or go');

select tests.as_admin();
select lives_ok(
  pg_catalog.format('select integrations.set_definition_status(%L, %L)', m.id, m.new_status),
  m.old_status || ' moves to ' || m.new_status)
from move as m
where m.old_status < m.new_status;
select is_empty(
  $$
    select d.name
      from integrations.integration_definitions as d
           join move as m on m.id = d.id
     where d.status <> greatest(m.old_status, m.new_status)
  $$,
  'and each is where it was sent');

-- What it means for those who install.
do $$
begin
  perform tests.a_definition('Xero', 'published');
end
$$;
select tests.as_tenant(tests.tenant_a());
select ok(
  integrations.create_instance(tests.definition_id('Xero'), 'books') is not null,
  'a published connector is installed');
select tests.as_admin();
select lives_ok(
  $$ select integrations.set_definition_status(tests.definition_id('Xero'), 'deprecated') $$,
  'it is deprecated');
do $$
begin
  perform tests.remember();
end
$$;
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.create_instance(tests.definition_id('Xero'), 'more books') $$, 'IN103',
  null, 'create_instance refuses it now');
select tests.unchanged('and there is no second instance');
select lives_ok(
  $$
    select integrations.update_config(
      tests.instance_id(tests.tenant_a(), 'books'), '{"year": 2026}')
  $$,
  'the one that is there goes on');
select is(
  (select o.integration_version::text from integrations.instance_overview as o),
  '1.0.0', 'and tells its version');

select * from finish();
rollback;
