-- Tests functions/retire_key.
begin;
select plan(32);

select has_function(
  'integrations', 'retire_key', array['uuid']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.retire_key(uuid)'::regprocedure
  ),
  'key_id uuid',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'retire_key',
  array['uuid'],
  'void'
);
select function_lang_is(
  'integrations', 'retire_key',
  array['uuid'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'retire_key',
  array['uuid'],
  'volatile'
);
select is_definer(
  'integrations', 'retire_key',
  array['uuid']
);
select function_owner_is(
  'integrations', 'retire_key',
  array['uuid'],
  'integrations_keymaster'
);
select tests.executable_by(
  'integrations.retire_key(uuid)',
  array['integrations_admin']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active');
end
$$;
create temporary table key on commit drop as
select 1 as version, (tests.active_key(tests.tenant_a())).id as id;
do $$
begin
  insert into key
  select 2, tests.a_key(tests.tenant_a());
  perform tests.remember();
end
$$;
grant select on key to integrations_admin, svc_integration;

select tests.as_admin();
select throws_ok(
  'select integrations.retire_key(k.id) from key as k where k.version = 1', 'IN308',
  'tenant key is still needed', 'retire_key refuses a key that a row needs');
select is(
  tests.error_of(pg_catalog.format('select integrations.retire_key(%L)', k.id)) - 'context',
  pg_catalog.jsonb_build_object(
    'sqlstate', 'IN308',
    'message', 'tenant key is still needed',
    'detail', pg_catalog.format('Key %s, rows: 1.', k.id),
    'hint', 'Move them with reencrypt_batch. Those in quarantine need new credentials.'),
  'it says how many rows')
from key as k where k.version = 1;
select throws_ok(
  'select integrations.retire_key(null)', '22023', null, 'retire_key refuses null');
select throws_ok(
  'select integrations.retire_key(tests.nobody())', 'IN307',
  'tenant key is destroyed, retired or unknown', 'retire_key does not find an unknown id');
select tests.as_service(tests.tenant_a());
select throws_ok(
  'select integrations.retire_key(tests.nobody())', '42501', null, 'the service may not retire');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  'select integrations.retire_key(tests.nobody())', '42501', null,
  'an application may not retire');
select tests.as_auditor();
select throws_ok(
  'select integrations.retire_key(tests.nobody())', '42501', null, 'an auditor may not retire');
select tests.unchanged('nothing has changed by any of this');

select tests.as_service(tests.tenant_a());
select is(integrations.unlock('kek-1', tests.kek()), 2, 'both keys are opened');
select is((integrations.reencrypt_batch()).done, 1, 'the row is moved');
select tests.as_admin();
select lives_ok(
  'select integrations.retire_key(key_id => k.id) from key as k where k.version = 1',
  'the key is retired, without a tenant or a KEK');
select results_eq(
  $$
    select state, kek_id from integrations.key_overview
     where tenant_id = tests.tenant_a() order by version
  $$,
  $$ values ('retired', 'kek-1'), ('active', 'kek-1') $$, 'and only that key');
select results_eq(
  $$
    select instance_id, actor, detail from tests.audited(tests.tenant_a(), 'tenant_key_retired')
  $$,
  $$
    select null::uuid, 'integrations_admin', pg_catalog.jsonb_build_object('key', k.id)
      from pg_temp.key as k where k.version = 1
  $$,
  'which is audited');
do $$
begin
  perform tests.remember();
end
$$;

select throws_ok(
  'select integrations.retire_key(k.id) from key as k where k.version = 1', 'IN307', null,
  'retire_key refuses a retired key');
select throws_ok(
  'select integrations.retire_key(k.id) from key as k where k.version = 2', 'IN308', null,
  'retire_key refuses an active key that a row needs');
select tests.unchanged('both stay as they are');
select tests.as_service(tests.tenant_a());
select is(integrations.unlock('kek-1', tests.kek()), 1, 'a retired key is not opened any more');

select * from finish();
rollback;
