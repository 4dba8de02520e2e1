-- Tests functions/create_tenant_key.
begin;
select plan(50);

select has_function('integrations', 'create_tenant_key', array['text', 'bytea']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.create_tenant_key(text,bytea)'::regprocedure
  ),
  'kek_id text, kek bytea',
  'its parameters are called by these names'
);
select function_returns('integrations', 'create_tenant_key', array['text', 'bytea'], 'uuid');
select function_lang_is('integrations', 'create_tenant_key', array['text', 'bytea'], 'plpgsql');
select volatility_is('integrations', 'create_tenant_key', array['text', 'bytea'], 'volatile');
select is_definer('integrations', 'create_tenant_key', array['text', 'bytea']);
select function_owner_is(
  'integrations', 'create_tenant_key',
  array['text', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.create_tenant_key(text,bytea)',
  array['integrations_admin', 'svc_integration']
);

select tests.as_service(tests.tenant_a());
select ok(
  integrations.create_tenant_key(kek_id => 'kek-1', kek => tests.kek()) is not null,
  'the service makes a key');
select results_eq(
  $$
    select tenant_id, version, kek_id, state::text, wrapped is not null, created_at = updated_at
      from tests.active_key(tests.tenant_a())
  $$,
  $$ select tests.tenant_a(), 1, 'kek-1', 'active', true, true $$,
  'it is the first and active');
select results_eq(
  $$
    select instance_id, actor, detail from tests.audited(tests.tenant_a(), 'tenant_key_created')
  $$,
  $$
    select null::uuid, 'svc_integration',
           pg_catalog.jsonb_build_object(
             'key', k.id, 'version', 1, 'kek_id', 'kek-1')
      from tests.active_key(tests.tenant_a()) as k
  $$,
  'its making is audited, without material');
select is(
  coalesce(pg_catalog.current_setting('integrations.keyring', true), ''), '',
  'it is not unlocked');

select tests.as_superuser();
select results_eq(
  $$ select kek_id, check_value from integrations_private.key_encryption_keys $$,
  $$ select 'kek-1', integrations_private.kek_check_value('kek-1', tests.kek()) $$,
  'the KEK is known by its check value from now on');
select is(
  (select pg_catalog.octet_length(tests.data_key(tests.tenant_a()))), 32,
  'the data key has 32 bytes');
select is(
  (tests.active_key(tests.tenant_a())).check_value,
  integrations_private.data_key_check_value(
    (tests.active_key(tests.tenant_a())).id, tests.data_key(tests.tenant_a())),
  'and its check value proves it');
select is_empty(
  $$
    select t.image
      from (
        select k::text from integrations_private.tenant_keys as k
        union all
        select k::text from integrations_private.key_encryption_keys as k
        union all
        select a::text from integrations_private.audit_log as a
      ) as t (image)
     where pg_catalog.strpos(
             t.image, pg_catalog.encode(tests.data_key(tests.tenant_a()), 'hex')) > 0
        or pg_catalog.strpos(t.image, pg_catalog.encode(tests.kek(), 'hex')) > 0
  $$,
  'neither the data key nor the KEK is stored in the clear');

select tests.as_admin(tests.tenant_a());
select lives_ok(
  $$ select integrations.create_tenant_key('kek-1', tests.kek()) $$,
  'an administrator makes the next one');
select tests.as_owner(tests.tenant_a());
select results_eq(
  $$
    select version, state::text, updated_at > created_at
      from integrations_private.tenant_keys
     order by version
  $$,
  $$ values (1, 'decrypt_only', true), (2, 'active', false) $$,
  'the former one only decrypts from now on');

do $$
begin
  perform tests.remember();
end
$$;
select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format('select integrations.create_tenant_key(%L, %L)', v.kek_id, tests.kek()),
  '22023', null, 'create_tenant_key refuses ' || v.what)
from (
  values ('a null name', null),
         ('an empty name', ''),
         ('a blank name', ' '),
         ('a name of 201 characters', pg_catalog.repeat('k', 201))
) as v (what, kek_id);
select throws_ok(
  pg_catalog.format('select integrations.create_tenant_key(%L, %L)', i.kek_id, v.kek),
  '22023', 'kek must be 32 bytes',
  'create_tenant_key refuses a KEK of ' || v.what || ' as ' || i.kek_id)
from (
  values ('null', null),
         ('no bytes', ''::bytea),
         ('16 bytes', pg_catalog.substr(tests.kek(), 1, 16)),
         ('31 bytes', pg_catalog.substr(tests.kek(), 1, 31)),
         ('33 bytes', tests.kek() || '\x00')
) as v (what, kek)
     cross join pg_catalog.unnest(array['kek-1', 'kek-9']) as i (kek_id);
select throws_ok(
  pg_catalog.format('select integrations.create_tenant_key(%L, %L)', 'kek-1', tests.kek(2)),
  'IN303', 'wrong key-encryption key', 'create_tenant_key refuses other bytes under a known name');
select tests.as_service(null);
select throws_ok(
  pg_catalog.format('select integrations.create_tenant_key(%L, %L)', 'kek-1', tests.kek()),
  'IN001', null, 'create_tenant_key needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  pg_catalog.format('select integrations.create_tenant_key(%L, %L)', 'kek-1', tests.kek()),
  '42501', null, 'an application may not make keys');
select tests.as_auditor();
select throws_ok(
  pg_catalog.format('select integrations.create_tenant_key(%L, %L)', 'kek-1', tests.kek()),
  '42501', null, 'an auditor may not make keys');
select tests.unchanged('refused calls leave keys and KEKs alone');

select tests.as_service(tests.tenant_b());
select throws_ok(
  pg_catalog.format('select integrations.create_tenant_key(%L, %L)', 'kek-1', tests.kek(2)),
  'IN303', null, 'create_tenant_key refuses other bytes under a name that another tenant used');
select lives_ok(
  pg_catalog.format('select integrations.create_tenant_key(%L, %L)', 'kek-2', tests.kek(2)),
  'another tenant has keys under another KEK');
select is(
  (tests.active_key(tests.tenant_b())).version, 1, 'it counts its own');
select is(
  (tests.active_key(tests.tenant_a())).version, 2, 'and the first tenant''s stay as they were');

select * from finish();
rollback;
