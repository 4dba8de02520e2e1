-- Tests functions/put_credentials.
begin;
select plan(65);

select has_function('integrations', 'put_credentials', array['uuid', 'text', 'integer']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.put_credentials(uuid,text,integer)'::regprocedure
  ),
  'instance_id uuid, credentials text, expected_version integer DEFAULT NULL::integer',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'put_credentials',
  array['uuid', 'text', 'integer'],
  'integer'
);
select function_lang_is(
  'integrations', 'put_credentials',
  array['uuid', 'text', 'integer'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'put_credentials',
  array['uuid', 'text', 'integer'],
  'volatile'
);
select is_definer('integrations', 'put_credentials', array['uuid', 'text', 'integer']);
select function_owner_is(
  'integrations', 'put_credentials',
  array['uuid', 'text', 'integer'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.put_credentials(uuid,text,integer)',
  array['svc_integration']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm'), tests.an_instance(tests.tenant_b(), 'crm'),
          tests.an_instance(tests.tenant_a(), 'disabled', 'disabled'),
          tests.an_instance(tests.tenant_a(), 'revoked', 'revoked'),
          tests.an_instance(tests.tenant_a(), 'failed', 'error');
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{}') $$, 'IN302',
  'credentials are locked', 'put_credentials needs an unlock');
select tests.unchanged('without it nothing is stored');

select is(integrations.unlock('kek-1', tests.kek()), 1, 'the key is opened');
select is(
  integrations.put_credentials(
    instance_id => tests.instance_id(tests.tenant_a()),
    credentials => '{"token": "SENTINEL", "expires_at": "2030-01-02T03:04:05Z"}',
    expected_version => 0),
  1, 'the first credentials are version 1');
select results_eq(
  $$
    select status::text, credentials_version, credentials_key_id, credentials_expire_at,
           updated_at > created_at, last_used_at
      from tests.instance(tests.tenant_a())
  $$,
  $$
    select 'active', 1, (tests.active_key(tests.tenant_a())).id,
           '2030-01-02 03:04:05+00'::timestamptz, true, null::timestamptz
  $$,
  'a pending instance has become active, under the active key');
select unalike(
  tests.instance(tests.tenant_a())::text, '%SENTINEL%', 'nothing of them is in the row');
select results_eq(
  $$
    select instance_id, actor, detail
      from tests.audited(tests.tenant_a(), 'credentials_stored')
     where instance_id = tests.instance_id(tests.tenant_a())
  $$,
  $$
    select tests.instance_id(tests.tenant_a()), 'svc_integration',
           pg_catalog.jsonb_build_object(
             'version', 1, 'key', (tests.active_key(tests.tenant_a())).id)
  $$,
  'it is audited, with version and key only');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a())),
  '{"token": "SENTINEL", "expires_at": "2030-01-02T03:04:05Z"}'::jsonb, 'they can be read back');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{"token": "t2"}', 1),
  2, 'the next ones are version 2');
select is(
  (tests.instance(tests.tenant_a())).credentials_expire_at, null,
  'the expiry goes with those that it was of');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{"token": "t3"}'),
  3, 'without expected_version they replace any version');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a(), 'failed'), '{}'),
  2, 'new credentials for an instance in error');
select results_eq(
  $$ select status::text, status_reason from tests.instance(tests.tenant_a(), 'failed') $$,
  $$ values ('active', null::text) $$, 'end the error');

do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.put_credentials(null, '{}') $$, '22023', null,
  'put_credentials refuses a null id');
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_a()), null) $$, '22023',
  null, 'put_credentials refuses null credentials');
select throws_ok(
  pg_catalog.format(
    'select integrations.put_credentials(%L, %L)',
    tests.instance_id(tests.tenant_a()), v.credentials),
  'IN305', 'credentials must be a JSON object of at most 64 KiB',
  'put_credentials refuses ' || v.what)
from (
  values ('an empty text', ''),
         ('a blank text', ' '),
         ('malformed JSON', '{"token": SENTINEL}'),
         ('trailing garbage', '{"token": "SENTINEL"} x'),
         ('a JSON null', 'null'),
         ('a string', '"SENTINEL"'),
         ('an array', '["SENTINEL"]'),
         ('U+0000', '{"token": "\u0000"}'),
         ('more than 64 KiB', '{"a": "' || pg_catalog.repeat('x', 65536) || '"}'),
         ('64 KiB of brackets', pg_catalog.repeat('[', 65536))
) as v (what, credentials);
select throws_ok(
  pg_catalog.format(
    'select integrations.put_credentials(%L, %L, %L)',
    tests.instance_id(tests.tenant_a()), '{"token": "t4"}', v),
  'IN306', 'credentials have another version', 'put_credentials refuses to overwrite version ' || v)
from pg_catalog.unnest(array[-1, 0, 2, 4]) as v;
select throws_ok(
  pg_catalog.format(
    'select integrations.put_credentials(%L, %L)', tests.instance_id(tests.tenant_a(), n), '{}'),
  'IN202', null, 'put_credentials refuses a ' || n || ' instance')
from pg_catalog.unnest(array['disabled', 'revoked']) as n;
select throws_ok(
  $$ select integrations.put_credentials(tests.nobody(), '{}') $$, 'IN201', null,
  'put_credentials does not find an unknown id');
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_b()), '{}') $$, 'IN201',
  null, 'put_credentials does not find another tenant''s');
select is(
  tests.answer_about(
    'select integrations.put_credentials(%L, ''{}'')', tests.instance_id(tests.tenant_b())),
  tests.answer_about('select integrations.put_credentials(%L, ''{}'')', tests.nobody()),
  'but for the id, the two answers are the same');
select tests.unchanged('refused calls change nothing');

-- A caller can set the keyring to anything: it does not help.
select throws_ok(
  pg_catalog.format(
    $$
      select integrations.put_credentials(%L, '{}')
       where pg_catalog.set_config('integrations.keyring', %L, true) is not null
    $$,
    tests.instance_id(tests.tenant_a()), v.keyring),
  v.sqlstate, null, 'put_credentials refuses ' || v.what)
from (
  values ('a preset key of zeros', 'IN303',
          tests.tenant_a() || '|' || (tests.active_key(tests.tenant_a())).id || '='
            || pg_catalog.repeat('0', 64)),
         ('a keyring of garbage', 'IN302', 'garbage'),
         ('an empty keyring', 'IN302', ''),
         ('a keyring without the key', 'IN302', tests.tenant_a()::text)
) as v (what, sqlstate, keyring);
select tests.as_service(tests.tenant_b());
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_b()), '{}') $$, 'IN302',
  null, 'put_credentials finds keys of another tenant locked');

-- Tenant B has a keyring but no key: somebody has retired the only one.
do $$
begin
  perform tests.a_key(tests.tenant_b());
  perform integrations.unlock('kek-1', tests.kek());
end
$$;
select tests.as_superuser();
update integrations_private.tenant_keys
   set state = 'retired'
 where tenant_id = tests.tenant_b();
do $$
begin
  perform tests.remember();
end
$$;
select tests.as_service(tests.tenant_b());
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_b()), '{}') $$, 'IN307',
  null, 'put_credentials refuses where there is no active key');
select tests.as_service(null);
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{}') $$, 'IN001',
  null, 'put_credentials needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{}') $$, '42501',
  null, 'an application may not store credentials');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{}') $$, '42501',
  null, 'an administrator may not store credentials');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{}') $$, '42501',
  null, 'an auditor may not store credentials');
select tests.unchanged('all these change nothing');

reset role;
do $$
begin
  perform integrations.set_definition_status(
    integrations.register_definition(
      'With schemas', 'api_key', '1.0.0',
      credentials_schema => '{"properties": {"api_key": {"pattern": "^k"}}}',
      config_schema => '{"properties": {"region": {"enum": ["eu", "us"]}}}'),
    'published');
  update integrations.integration_instances as i
     set integration_id = tests.definition_id('With schemas')
   where i.tenant_id = tests.tenant_a() and i.name = 'crm';
end
$$;
select tests.as_service(tests.tenant_a());
do $$
begin
  perform integrations.unlock('kek-1', tests.kek());
end
$$;
select throws_ok(
  $$
    select integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{"api_key": "x"}')
  $$,
  'IN204', 'credentials do not fit the schema of the definition',
  'put_credentials refuses credentials that do not fit');
select lives_ok(
  $$
    select integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{"api_key": "kx"}')
  $$,
  'and takes those that fit');

select * from finish();
rollback;
