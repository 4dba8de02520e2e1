-- Tests functions/record_connection.
begin;
select plan(35);

select has_function('integrations', 'record_connection', array['uuid', 'boolean', 'text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.record_connection(uuid,boolean,text)'::regprocedure
  ),
  'instance_id uuid, ok boolean, reason text DEFAULT NULL::text',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'record_connection',
  array['uuid', 'boolean', 'text'],
  'void'
);
select function_lang_is(
  'integrations', 'record_connection',
  array['uuid', 'boolean', 'text'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'record_connection',
  array['uuid', 'boolean', 'text'],
  'volatile'
);
select is_definer('integrations', 'record_connection', array['uuid', 'boolean', 'text']);
select function_owner_is(
  'integrations', 'record_connection',
  array['uuid', 'boolean', 'text'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.record_connection(uuid,boolean,text)',
  array['svc_integration']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active'),
          tests.an_instance(tests.tenant_a(), 'new'),
          tests.an_instance(tests.tenant_a(), 'disabled', 'disabled'),
          tests.an_instance(tests.tenant_a(), 'revoked', 'revoked');
end
$$;
create temporary table before on commit drop as
select i.* from tests.instance(tests.tenant_a()) as i;
grant select on pg_temp.before to svc_integration;

select tests.as_service(tests.tenant_a());
select lives_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_a()), true) $$,
  'a good connection');
select results_eq(
  $$
    select i.status::text, i.last_connected_at >= pg_catalog.now(),
           i.updated_at = b.updated_at
      from tests.instance(tests.tenant_a()) as i cross join pg_temp.before as b
  $$,
  $$ values ('active', true, true) $$,
  'stamps last_connected_at and nothing else');
select is_empty(
  $$
    select a.* from tests.audited(tests.tenant_a(), 'status_changed') as a
     where a.instance_id = tests.instance_id(tests.tenant_a())
  $$,
  'and is not audited');

select lives_ok(
  $$
    select integrations.record_connection(
      instance_id => tests.instance_id(tests.tenant_a()), ok => false,
      reason => pg_catalog.repeat('e', 1001))
  $$,
  'a failed connection');
select results_eq(
  $$
    select status::text, status_reason, last_connected_at is not null, credentials is not null
      from tests.instance(tests.tenant_a())
  $$,
  $$ select 'error', pg_catalog.repeat('e', 1000), true, true $$,
  'moves an active instance to error, with the reason cut to 1000 characters');
select lives_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_a()), false, 'again') $$,
  'another failure');
select results_eq(
  $$ select status::text, status_reason from tests.instance(tests.tenant_a()) $$,
  $$ values ('error', 'again') $$, 'renews the reason');
select lives_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_a()), true, 'fine') $$,
  'a good one');
select results_eq(
  $$ select status::text, status_reason from tests.instance(tests.tenant_a()) $$,
  $$ values ('active', null::text) $$, 'ends the error');
select results_eq(
  $$
    select a.detail from tests.audited(tests.tenant_a(), 'status_changed') as a
     where a.instance_id = tests.instance_id(tests.tenant_a())
  $$,
  array[
    '{"from": "active", "to": "error", "version": 1}',
    '{"from": "error", "to": "active", "version": 1}'
  ]::jsonb[],
  'both moves are audited, once each');
select lives_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_a(), 'new'), true) $$,
  'a good connection of a pending instance');
select is(
  (tests.instance(tests.tenant_a(), 'new')).status::text, 'pending',
  'does not make it active: only credentials do');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.record_connection(null, true) $$, '22023', null,
  'record_connection refuses a null id');
select throws_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_a()), null) $$, '22023',
  null, 'record_connection refuses a null result');
select throws_ok(
  $$ select integrations.record_connection(tests.nobody(), true) $$, 'IN201', null,
  'record_connection does not find an unknown id');
select throws_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_b()), false) $$,
  'IN201', null, 'record_connection does not find another tenant''s');
select throws_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_a(), 'new'), false) $$,
  'IN104', null, 'record_connection has no failure of a pending instance');
select throws_ok(
  pg_catalog.format(
    'select integrations.record_connection(%L, %L)', tests.instance_id(tests.tenant_a(), n), o),
  'IN202', null, 'record_connection refuses ' || o || ' of a ' || n || ' instance')
from pg_catalog.unnest(array['disabled', 'revoked']) as n
     cross join pg_catalog.unnest(array[true, false]) as o;
select tests.as_service(null);
select throws_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_a()), true) $$, 'IN001',
  null, 'record_connection needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.record_connection(tests.instance_id(tests.tenant_a()), true) $$, '42501',
  null, 'an application may not record connections');
select tests.unchanged('refused calls change nothing');

select * from finish();
rollback;
