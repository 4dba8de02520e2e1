-- Tests functions/revoke_credentials.
begin;
select plan(27);

select has_function('integrations', 'revoke_credentials', array['uuid']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.revoke_credentials(uuid)'::regprocedure
  ),
  'instance_id uuid',
  'its parameters are called by these names'
);
select function_returns('integrations', 'revoke_credentials', array['uuid'], 'void');
select function_lang_is('integrations', 'revoke_credentials', array['uuid'], 'plpgsql');
select volatility_is('integrations', 'revoke_credentials', array['uuid'], 'volatile');
select is_definer('integrations', 'revoke_credentials', array['uuid']);
select function_owner_is('integrations', 'revoke_credentials', array['uuid'], 'integrations_owner');
select tests.executable_by('integrations.revoke_credentials(uuid)', array['svc_integration']);

do $$
begin
  perform tests.an_instance(
            tests.tenant_a(), 'crm', 'active', '{"token": "t", "expires_in": 60}'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active'),
          tests.an_instance(tests.tenant_a(), 'new'),
          tests.an_instance(tests.tenant_a(), 'disabled', 'disabled'),
          tests.an_instance(tests.tenant_a(), 'gone', 'revoked');
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.revoke_credentials(null) $$, '22023', null,
  'revoke_credentials refuses null');
select throws_ok(
  $$ select integrations.revoke_credentials(tests.nobody()) $$, 'IN201', null,
  'revoke_credentials does not find an unknown id');
select throws_ok(
  $$ select integrations.revoke_credentials(tests.instance_id(tests.tenant_b())) $$, 'IN201',
  null, 'revoke_credentials does not find another tenant''s');
select throws_ok(
  $$ select integrations.revoke_credentials(tests.instance_id(tests.tenant_a(), 'gone')) $$,
  'IN202', null, 'revoke_credentials refuses a revoked instance');
select tests.as_service(null);
select throws_ok(
  $$ select integrations.revoke_credentials(tests.instance_id(tests.tenant_a())) $$, 'IN001',
  null, 'revoke_credentials needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.revoke_credentials(tests.instance_id(tests.tenant_a())) $$, '42501',
  null, 'an application may not: it has set_instance_status');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.revoke_credentials(tests.instance_id(tests.tenant_a())) $$, '42501',
  null, 'an administrator may not');
select tests.unchanged('refused calls revoke nothing');

-- No unlock: to take away needs no key.
select tests.as_service(tests.tenant_a());
select lives_ok(
  pg_catalog.format(
    'select integrations.revoke_credentials(instance_id => %L)',
    tests.instance_id(tests.tenant_a(), n)),
  'the instance "' || n || '" is revoked')
from pg_catalog.unnest(array['crm', 'new', 'disabled']) as n;
select results_eq(
  $$
    select i.name::text, i.status::text, i.credentials, i.credentials_version,
           i.credentials_key_id, i.credentials_expire_at
      from integrations.integration_instances as i
     where i.name <> 'gone'
     order by i.name
  $$,
  $$
    values ('crm', 'revoked', null::jsonb, 1, null::uuid, null::timestamptz),
           ('disabled', 'revoked', null::jsonb, 1, null::uuid, null::timestamptz),
           ('new', 'revoked', null::jsonb, 0, null::uuid, null::timestamptz)
  $$,
  'the credentials are erased, their version stays');
select results_eq(
  $$
    select detail from tests.audited(tests.tenant_a(), 'credentials_revoked')
     where instance_id = tests.instance_id(tests.tenant_a())
  $$,
  array['{"from": "active", "to": "revoked", "version": 1}'::jsonb],
  'the revocation is audited, once');
select is(
  (tests.instance(tests.tenant_b())).status::text, 'active', 'the other tenant''s is still active');

select * from finish();
rollback;
