-- Tests functions/add_tenant_key: a KEK that the database never sees.
begin;
select plan(41);

select has_function(
  'integrations', 'add_tenant_key', array['text', 'bytea', 'bytea']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.add_tenant_key(text,bytea,bytea)'::regprocedure
  ),
  'kek_id text, data_key bytea, wrapped bytea',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'add_tenant_key',
  array['text', 'bytea', 'bytea'],
  'uuid'
);
select function_lang_is(
  'integrations', 'add_tenant_key',
  array['text', 'bytea', 'bytea'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'add_tenant_key',
  array['text', 'bytea', 'bytea'],
  'volatile'
);
select is_definer(
  'integrations', 'add_tenant_key',
  array['text', 'bytea', 'bytea']
);
select function_owner_is(
  'integrations', 'add_tenant_key',
  array['text', 'bytea', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.add_tenant_key(text,bytea,bytea)',
  array['svc_integration']
);

do $$
begin
  perform tests.a_key(tests.tenant_b());
end
$$;

select tests.as_service(tests.tenant_a());
select ok(
  integrations.add_tenant_key(kek_id => 'kms-1', data_key => tests.kek(7), wrapped => 'opaque')
    is not null,
  'the service brings a key');
select results_eq(
  'select version, kek_id, state::text, wrapped from tests.active_key(tests.tenant_a())',
  $$ values (1, 'kms-1', 'active', 'opaque'::bytea) $$,
  'it is stored as it was wrapped, first and active');
select results_eq(
  $$
    select instance_id, actor, detail from tests.audited(tests.tenant_a(), 'tenant_key_created')
  $$,
  $$
    select null::uuid, 'svc_integration',
           pg_catalog.jsonb_build_object('key', k.id, 'version', 1, 'kek_id', 'kms-1')
      from tests.active_key(tests.tenant_a()) as k
  $$,
  'its making is audited, without material');
select is(
  coalesce(pg_catalog.current_setting('integrations.keyring', true), ''), '',
  'it is not unlocked');
select lives_ok(
  $$
    select integrations.unlock_key((tests.active_key(tests.tenant_a())).id, tests.kek(7))
  $$,
  'its bytes open it');
select lives_ok(
  $$ select integrations.add_tenant_key('kms-1', tests.kek(8), 'another') $$,
  'a second key under the same name');
select is(
  (tests.active_key(tests.tenant_a())).version, 2, 'takes the place of the first');
select tests.as_superuser();
select results_eq(
  $$
    select kek_id, check_value from integrations_private.key_encryption_keys
     where kek_id like 'kms%'
  $$,
  $$ values ('kms-1', null::bytea) $$, 'the name is known, without a check value');
do $$
begin
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format('select integrations.%s(%L, %L)', f, 'kms-1', tests.kek()),
  'IN303', 'wrong key-encryption key', f || ' refuses the name, whatever comes with it')
from pg_catalog.unnest(array['unlock', 'create_tenant_key']) as f;
select throws_ok(
  pg_catalog.format(
    'select integrations.add_tenant_key(%L, %L, %L)', v.kek_id, v.data_key, v.wrapped),
  v.sqlstate, null, 'add_tenant_key refuses ' || v.what)
from (
  values ('a null name', null, tests.kek(7), '\x00'::bytea, '22023'),
         ('a blank name', E' \n', tests.kek(7), '\x00', '22023'),
         ('a name of 201 characters', pg_catalog.repeat('k', 201), tests.kek(7), '\x00', '22023'),
         ('a null key', 'kms-1', null, '\x00', '22023'),
         ('31 bytes', 'kms-1', pg_catalog.substr(tests.kek(7), 2), '\x00', '22023'),
         ('33 bytes', 'kms-1', tests.kek(7) || '\x00', '\x00', '22023'),
         ('nothing wrapped', 'kms-1', tests.kek(7), null, '22023'),
         ('no wrapped bytes', 'kms-1', tests.kek(7), '', '22023'),
         ('more than 16 KiB', 'kms-1', tests.kek(7),
          pg_catalog.convert_to(pg_catalog.repeat('w', 16385), 'UTF8'), '22023'),
         ('a key that is not wrapped', 'kms-1', tests.kek(7), tests.kek(7), '22023'),
         ('the name of a KEK that comes to the database', 'kek-1', tests.kek(7), '\x00', 'IN303')
) as v (what, kek_id, data_key, wrapped, sqlstate);
select tests.as_service(null);
select throws_ok(
  $$ select integrations.add_tenant_key('kms-1', tests.kek(7), '\x00') $$, 'IN001', null,
  'add_tenant_key needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.add_tenant_key('kms-1', tests.kek(7), '\x00') $$, '42501', null,
  'an application may not bring keys');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  $$ select integrations.add_tenant_key('kms-1', tests.kek(7), '\x00') $$, '42501', null,
  'an administrator may not bring keys');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.add_tenant_key('kms-1', tests.kek(7), '\x00') $$, '42501', null,
  'an auditor may not bring keys');
select tests.unchanged('refused calls leave keys and KEKs alone');

select * from finish();
rollback;
