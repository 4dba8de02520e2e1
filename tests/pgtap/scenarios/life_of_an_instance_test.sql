-- Every move between two states, tried: 25 of them, by set_instance_status; then a whole life.
begin;
select plan(56);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), o || ' to ' || n, o)
     from pg_catalog.unnest(
            pg_catalog.enum_range(null::integrations.integration_instance_status)) as o
          cross join pg_catalog.unnest(
            pg_catalog.enum_range(null::integrations.integration_instance_status)) as n;
  perform tests.remember();
end
$$;

select tests.as_tenant(tests.tenant_a());
create temporary table move on commit drop as
select o as old_status, n as new_status,
       tests.instance_id(tests.tenant_a(), o || ' to ' || n) as id,
       (o::text, n::text) in (
         ('pending', 'revoked'),
         ('active', 'error'), ('active', 'disabled'), ('active', 'revoked'),
         ('error', 'active'), ('error', 'disabled'), ('error', 'revoked'),
         ('disabled', 'active'), ('disabled', 'error'), ('disabled', 'revoked')
       ) as allowed
  from pg_catalog.unnest(
         pg_catalog.enum_range(null::integrations.integration_instance_status)) as o
       cross join pg_catalog.unnest(
         pg_catalog.enum_range(null::integrations.integration_instance_status)) as n;

select throws_ok(
  pg_catalog.format('select integrations.set_instance_status(%L, %L)', m.id, m.new_status),
  'IN104', 'status cannot move that way',
  'set_instance_status refuses ' || m.old_status || ' to ' || m.new_status)
from move as m
where not m.allowed;
select tests.unchanged('what is refused does not move');
select lives_ok(
  pg_catalog.format('select integrations.set_instance_status(%L, %L)', m.id, m.new_status),
  m.old_status || ' moves to ' || m.new_status)
from move as m
where m.allowed;
select is_empty(
  $$
    select i.name
      from integrations.integration_instances as i
           join move as m on m.id = i.id
     where i.status <> case when m.allowed then m.new_status else m.old_status end
  $$,
  'each is where it was sent, and the others where they were');
select is_empty(
  $$
    select i.name
      from integrations.integration_instances as i
     where (i.credentials_key_id is null) <> (i.status in ('pending', 'revoked'))
  $$,
  'credentials are gone with revocation, and with nothing else');

-- A life.
select tests.as_service(tests.tenant_a());
select ok(
  integrations.create_instance(tests.definition_id('Salesforce'), 'life') is not null, 'created');
select is(integrations.unlock('kek-1', tests.kek()), 1, 'unlocked');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a(), 'life'), '{"token": "1"}', 0),
  1, 'the first credentials');
select lives_ok(
  $$
    select integrations.record_connection(
      tests.instance_id(tests.tenant_a(), 'life'), false, 'HTTP 401')
  $$,
  'a failed connection');
select is(
  (tests.instance(tests.tenant_a(), 'life')).status::text, 'error', 'is an error');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a(), 'life'), '{"token": "2"}', 1),
  2, 'new credentials');
select is(
  (tests.instance(tests.tenant_a(), 'life')).status::text, 'active', 'end the error');
select lives_ok(
  $$
    select integrations.set_instance_status(
      tests.instance_id(tests.tenant_a(), 'life'), 'disabled', 'holiday')
  $$,
  'disabled');
do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'life')) $$,
  'IN202', null, 'get_credentials refuses it while it is disabled');
select tests.unchanged('and leaves no trace');
select lives_ok(
  $$
    select integrations.set_instance_status(
      tests.instance_id(tests.tenant_a(), 'life'), 'active')
  $$,
  'enabled');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'life')) ->> 'token', '2',
  'the credentials are still there');
select lives_ok(
  $$ select integrations.revoke_credentials(tests.instance_id(tests.tenant_a(), 'life')) $$,
  'revoked');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  pg_catalog.format(v.statement, tests.instance_id(tests.tenant_a(), 'life')),
  v.sqlstate, null, 'a revoked instance is refused: ' || v.statement)
from (
  values ('IN202', 'select integrations.get_credentials(%L)'),
         ('IN202', 'select integrations.put_credentials(%L, ''{}'')'),
         ('IN202', 'select integrations.put_credentials(%L, ''{}'', 2)'),
         ('IN202', 'select integrations.revoke_credentials(%L)'),
         ('IN202', 'select integrations.record_connection(%L, true)'),
         ('IN202', 'select integrations.update_config(%L, ''{}'')'),
         ('IN104', 'select integrations.set_instance_status(%L, ''active'')'),
         ('IN104', 'select integrations.set_instance_status(%L, ''revoked'')')
) as v (sqlstate, statement);
select tests.unchanged('revocation is final');
select is(
  (tests.instance(tests.tenant_a(), 'life')).credentials_version, 2,
  'the version tells how many there were');
select lives_ok(
  $$ select integrations.delete_instance(tests.instance_id(tests.tenant_a(), 'life')) $$,
  'deleted');

select tests.as_auditor();
select results_eq(
  $$
    select a.event, a.detail - 'key' - 'integration_id'
      from integrations.audit_trail as a
     where a.instance_id = (
             select d.instance_id from integrations.audit_trail as d
              where d.event = 'instance_deleted')
     order by a.at
  $$,
  $$
    values ('instance_created', '{}'::jsonb),
           ('credentials_stored', '{"version": 1}'),
           ('status_changed', '{"from": "active", "to": "error", "version": 1}'),
           ('credentials_stored', '{"version": 2}'),
           ('status_changed', '{"from": "active", "to": "disabled", "version": 2}'),
           ('status_changed', '{"from": "disabled", "to": "active", "version": 2}'),
           ('credentials_read', '{"version": 2}'),
           ('credentials_revoked', '{"from": "active", "to": "revoked", "version": 2}'),
           ('instance_deleted', '{}')
  $$,
  'the trail tells the whole life, also of what is no more');

select * from finish();
rollback;
