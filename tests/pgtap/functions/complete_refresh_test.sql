-- Tests functions/complete_refresh.
begin;
select plan(46);

select has_function('integrations', 'complete_refresh', array['uuid', 'text', 'integer']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.complete_refresh(uuid,text,integer)'::regprocedure
  ),
  'lease uuid, credentials text, expected_version integer',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'complete_refresh',
  array['uuid', 'text', 'integer'],
  'integer'
);
select function_lang_is(
  'integrations', 'complete_refresh',
  array['uuid', 'text', 'integer'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'complete_refresh',
  array['uuid', 'text', 'integer'],
  'volatile'
);
select is_definer('integrations', 'complete_refresh', array['uuid', 'text', 'integer']);
select function_owner_is(
  'integrations', 'complete_refresh',
  array['uuid', 'text', 'integer'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.complete_refresh(uuid,text,integer)', array['svc_integration']);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'error'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active');
  perform integrations.set_tenant(tests.tenant_a());
  perform integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w');
  perform integrations.set_tenant(tests.tenant_b());
  perform integrations.claim_refresh(tests.instance_id(tests.tenant_b()), 'w');
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.complete_refresh((tests.lease(tests.tenant_a())).lease, '{}', 1) $$,
  'IN302', null, 'complete_refresh needs an unlock');
select is(integrations.unlock('kek-1', tests.kek()), 1, 'the key is opened');
select throws_ok(
  pg_catalog.format(
    'select integrations.complete_refresh(%L, %L, %L)', v.lease, v.credentials, v.version),
  v.sqlstate, null, 'complete_refresh refuses ' || v.what)
from (
  values ('a null lease', null, '{}', 1, '22023'),
         ('null credentials', (tests.lease(tests.tenant_a())).lease, null, 1, '22023'),
         ('a null version', (tests.lease(tests.tenant_a())).lease, '{}', null, '22023'),
         ('malformed JSON', (tests.lease(tests.tenant_a())).lease, '{"token": SENTINEL}', 1,
          'IN305'),
         ('an array', (tests.lease(tests.tenant_a())).lease, '[]', 1, 'IN305'),
         ('a version that was', (tests.lease(tests.tenant_a())).lease, '{}', 0, 'IN306'),
         ('a version to come', (tests.lease(tests.tenant_a())).lease, '{}', 2, 'IN306'),
         ('an unknown lease', tests.nobody(), '{}', 1, 'IN402'),
         ('another tenant''s lease', (tests.lease(tests.tenant_b())).lease, '{}', 1, 'IN402')
) as v (what, lease, credentials, version, sqlstate);
select throws_ok(
  pg_catalog.format(
    $$
      select integrations.complete_refresh(%L, '{}', 1)
       where pg_catalog.set_config('integrations.keyring', %L, true) is not null
    $$,
    (tests.lease(tests.tenant_a())).lease,
    tests.tenant_a() || '|' || (tests.active_key(tests.tenant_a())).id || '='
      || pg_catalog.repeat('0', 64)),
  'IN303', null, 'complete_refresh refuses a preset key of zeros');
select tests.as_service(null);
select throws_ok(
  $$ select integrations.complete_refresh((tests.lease(tests.tenant_a())).lease, '{}', 1) $$,
  'IN001', null, 'complete_refresh needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.complete_refresh((tests.lease(tests.tenant_a())).lease, '{}', 1) $$,
  '42501', null, 'an application may not complete a refresh');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.complete_refresh((tests.lease(tests.tenant_a())).lease, '{}', 1) $$,
  '42501', null, 'an administrator may not complete a refresh');
select tests.unchanged('refused completions change nothing: the lease is still there');

select tests.as_service(tests.tenant_a());
do $$
begin
  perform integrations.unlock('kek-1', tests.kek());
end
$$;
create temporary table claimed on commit drop as
select l.lease, l.claimed_at from tests.lease(tests.tenant_a()) as l;
select is(
  integrations.complete_refresh(
    lease => (select c.lease from pg_temp.claimed as c),
    credentials => '{"token": "SENTINEL", "expires_at": "2030-01-02T03:04:05Z"}',
    expected_version => 1),
  2, 'the refreshed credentials are version 2');
select results_eq(
  $$
    select status::text, status_reason, credentials_version, credentials_key_id,
           credentials_expire_at
      from tests.instance(tests.tenant_a())
  $$,
  $$
    select 'active', null::text, 2, (tests.active_key(tests.tenant_a())).id,
           '2030-01-02 03:04:05+00'::timestamptz
  $$,
  'they are stored like any others, and end the error');
select unalike(
  tests.instance(tests.tenant_a())::text, '%SENTINEL%', 'nothing of them is in the row');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a())) ->> 'token', 'SENTINEL',
  'they can be read back');
select results_eq(
  $$
    select l.lease, l.leased_until, l.holder, l.credentials_version, l.failures, l.retry_at,
           l.refreshed_at > l.claimed_at
      from tests.lease(tests.tenant_a()) as l
  $$,
  $$ values (null::uuid, null::timestamptz, 'w', 2, 0, null::timestamptz, true) $$,
  'the lease has ended');
select results_eq(
  $$
    select event, actor, detail
      from (select * from tests.audited(tests.tenant_a(), 'credentials_stored')
            union all select * from tests.audited(tests.tenant_a(), 'refresh_completed')) as a
     where detail ->> 'version' = '2'
     order by at
  $$,
  $$
    values ('credentials_stored', 'svc_integration',
            pg_catalog.jsonb_build_object(
              'version', 2, 'key', (tests.active_key(tests.tenant_a())).id)),
           ('refresh_completed', 'svc_integration', '{"version": 2}')
  $$,
  'both are audited, with version and key only');
do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  pg_catalog.format('select integrations.complete_refresh(%L, %L, 2)', c.lease, '{}'),
  'IN402', null, 'a lease is used once')
from pg_temp.claimed as c;
select tests.unchanged('the second time changes nothing');

-- Refreshed credentials are held to the definition, too, and the lease stays.
select tests.as_superuser();
do $$
begin
  perform integrations.register_definition(
    'Salesforce', 'oauth2', '2.0.0', credentials_schema => '{"required": ["refresh_token"]}');
  update integrations.integration_instances as i
     set integration_id = tests.definition_id('Salesforce', '2.0.0')
   where i.tenant_id = tests.tenant_a();
end
$$;
select tests.as_service(tests.tenant_a());
do $$
begin
  perform integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w');
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.complete_refresh((tests.lease(tests.tenant_a())).lease, '{}', 2) $$,
  'IN204', null, 'complete_refresh refuses credentials that do not fit');
select tests.unchanged('which leaves the lease');
do $$
begin
  perform integrations.fail_refresh(
    (tests.lease(tests.tenant_a())).lease, 'no refresh_token', interval '0');
end
$$;

-- Switched off, or without a key, under a lease.
do $$
begin
  perform integrations.upgrade_instance(
    tests.instance_id(tests.tenant_a()), tests.definition_id('Salesforce'));
  perform integrations.claim_refresh(tests.instance_id(tests.tenant_a()), 'w');
  perform integrations.set_instance_status(tests.instance_id(tests.tenant_a()), 'disabled');
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.complete_refresh((tests.lease(tests.tenant_a())).lease, '{}', 2) $$,
  'IN202', null, 'complete_refresh refuses a disabled instance');
select tests.unchanged('which stays as it is');
do $$
begin
  perform integrations.set_instance_status(tests.instance_id(tests.tenant_a()), 'active');
end
$$;
select tests.as_superuser();
update integrations_private.tenant_keys set state = 'retired' where tenant_id = tests.tenant_a();
select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.complete_refresh((tests.lease(tests.tenant_a())).lease, '{}', 2) $$,
  'IN307', null, 'complete_refresh refuses where there is no active key');

select * from finish();
rollback;
