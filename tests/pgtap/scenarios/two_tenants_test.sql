-- Two tenants use the same connector and the same names, and never meet.
begin;
select plan(42);

do $$
begin
  perform tests.a_definition('Salesforce');
end
$$;

select tests.as_service(tests.tenant_a());
select ok(
  integrations.create_instance(tests.definition_id('Salesforce'), 'crm', '{"of": "a"}')
    is not null,
  'A installs');
select ok(
  integrations.create_tenant_key('kek-1', tests.kek()) is not null, 'A has a key made');
select is(integrations.unlock('kek-1', tests.kek()), 1, 'A''s key is opened');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{"token": "of a"}'), 1,
  'A''s credentials are stored');

-- In the same transaction, as a pooled service might.
select lives_ok(
  $$ select integrations.set_tenant(tests.tenant_b()) $$, 'the service turns to B');
select ok(
  integrations.create_instance(tests.definition_id('Salesforce'), 'crm', '{"of": "b"}')
    is not null,
  'B installs under the same name');
select ok(
  integrations.create_tenant_key('kek-1', tests.kek()) is not null,
  'B has a key made, under the same KEK');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_b()), '{}') $$, 'IN302',
  null, 'what was unlocked for A is of no use for B');
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a())) $$, 'IN201', null,
  'and A''s instance is not there');
select tests.unchanged('nothing has changed by that');

select is(integrations.unlock('kek-1', tests.kek()), 1, 'B''s key is opened');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_b()), '{"token": "of b"}'), 1,
  'B''s credentials are stored');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_b())), '{"token": "of b"}'::jsonb,
  'B reads B''s');
select lives_ok(
  $$ select integrations.set_tenant(tests.tenant_a()) $$, 'back to A');
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_a())) $$, 'IN302', null,
  'A''s key is locked again: the keyring is for one tenant');
select is(integrations.unlock('kek-1', tests.kek()), 1, 'A''s key is opened again');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a())), '{"token": "of a"}'::jsonb,
  'A reads A''s');

-- Every function with an id, in both directions, with an id of the other tenant and one of nobody:
-- the same SQLSTATE, message, detail and hint, and nothing changes.
create temporary table call on commit drop as
select v.statement
  from (
    values ('select integrations.get_credentials(%L)'),
           ('select integrations.put_credentials(%L, ''{}'')'),
           ('select integrations.revoke_credentials(%L)'),
           ('select integrations.record_connection(%L, true)'),
           ('select integrations.record_connection(%L, false)'),
           ('select integrations.set_instance_status(%L, ''disabled'')'),
           ('select integrations.update_config(%L, ''{}'')'),
           ('select integrations.rename_instance(%L, ''x'')'),
           ('select integrations.delete_instance(%L)')
  ) as v (statement);
grant select on call to svc_integration;
do $$
begin
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select is(
  tests.answer_about(c.statement, tests.instance_id(tests.tenant_b())),
  tests.answer_about(c.statement, tests.nobody()),
  'A cannot tell B''s instance from none: ' || c.statement)
from call as c;
select tests.as_service(tests.tenant_b());
select throws_ok(
  pg_catalog.format(c.statement, tests.instance_id(tests.tenant_a())), 'IN201',
  'integration instance not found', 'B cannot touch A''s instance: ' || c.statement)
from call as c;
select tests.unchanged('nothing of either has changed');

-- Whose entries are whose.
select tests.as_auditor();
select results_eq(
  $$
    select tenant_id, event, pg_catalog.count(*)
      from integrations.audit_trail
     group by tenant_id, event
     order by tenant_id, event collate "C"
  $$,
  $$
    values (tests.tenant_a(), 'credentials_read', 1::bigint),
           (tests.tenant_a(), 'credentials_stored', 1),
           (tests.tenant_a(), 'instance_created', 1),
           (tests.tenant_a(), 'tenant_key_created', 1),
           (tests.tenant_b(), 'credentials_read', 1),
           (tests.tenant_b(), 'credentials_stored', 1),
           (tests.tenant_b(), 'instance_created', 1),
           (tests.tenant_b(), 'tenant_key_created', 1)
  $$,
  'the trail tells all of it, tenant by tenant, and nothing of what was refused');
select is_empty(
  $$ select * from integrations.audit_trail as a where a::text like '%of a%' $$,
  'without a word of the credentials');

select * from finish();
rollback;
