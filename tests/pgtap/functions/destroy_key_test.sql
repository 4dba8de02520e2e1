-- Tests functions/destroy_key: shredding.
begin;
select plan(40);

select has_function(
  'integrations', 'destroy_key', array['uuid', 'text']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.destroy_key(uuid,text)'::regprocedure
  ),
  'key_id uuid, confirm text',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'destroy_key',
  array['uuid', 'text'],
  'void'
);
select function_lang_is(
  'integrations', 'destroy_key',
  array['uuid', 'text'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'destroy_key',
  array['uuid', 'text'],
  'volatile'
);
select is_definer(
  'integrations', 'destroy_key',
  array['uuid', 'text']
);
select function_owner_is(
  'integrations', 'destroy_key',
  array['uuid', 'text'],
  'integrations_keymaster'
);
select tests.executable_by(
  'integrations.destroy_key(uuid,text)',
  array['integrations_admin']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active');
end
$$;
create temporary table key on commit drop as
select k.id from tests.active_key(tests.tenant_a()) as k;
grant select on key to integrations_admin, svc_integration;
do $$
begin
  perform tests.remember();
end
$$;

select tests.as_admin();
select throws_ok(
  pg_catalog.format('select integrations.destroy_key(%L, %L)', v.key_id, v.confirm),
  v.sqlstate, v.message, 'destroy_key refuses ' || v.what)
from key as k
     cross join lateral (
       values ('a null id', null, k.id::text, '22023', 'confirm must be the key id'),
              ('no confirmation', k.id, null, '22023', 'confirm must be the key id'),
              ('an empty confirmation', k.id, '', '22023', 'confirm must be the key id'),
              ('yes', k.id, 'yes', '22023', 'confirm must be the key id'),
              ('another key''s id', k.id, (tests.active_key(tests.tenant_b())).id::text, '22023',
               'confirm must be the key id'),
              ('two nulls', null, null, '22023', 'confirm must be the key id'),
              ('an unknown id', tests.nobody(), tests.nobody()::text, 'IN307',
               'tenant key is destroyed, retired or unknown')
     ) as v (what, key_id, confirm, sqlstate, message);
select tests.as_service(tests.tenant_a());
select throws_ok(
  'select integrations.destroy_key(k.id, k.id::text) from key as k', '42501', null,
  'the service may not destroy');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  $$ select integrations.destroy_key(tests.nobody(), '') $$, '42501', null,
  'an application may not destroy');
select tests.as_auditor();
select throws_ok(
  $$ select integrations.destroy_key(tests.nobody(), '') $$, '42501', null,
  'an auditor may not destroy');
select tests.unchanged('nothing has changed by any of this');

select tests.as_service(tests.tenant_a());
select is(integrations.unlock('kek-1', tests.kek()), 1, 'the key is open in this transaction');
select tests.as_admin();
select lives_ok(
  'select integrations.destroy_key(key_id => k.id, confirm => k.id::text) from key as k',
  'a key that a row needs, of any tenant');
select tests.as_superuser();
select results_eq(
  $$
    select state::text, wrapped from integrations_private.tenant_keys
     where tenant_id = tests.tenant_a()
  $$,
  $$ values ('destroyed', null::bytea) $$, 'its material is gone');
select results_eq(
  $$
    select instance_id, actor, detail
      from tests.audited(tests.tenant_a(), 'tenant_key_destroyed')
  $$,
  $$
    select null::uuid, 'integrations_admin',
           pg_catalog.jsonb_build_object('key', k.id, 'rows', 1)
      from pg_temp.key as k
  $$,
  'which is audited, with the rows that lose their credentials');
do $$
begin
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select is(
  tests.error_of(
    pg_catalog.format(
      'select integrations.get_credentials(%L)', tests.instance_id(tests.tenant_a())))
    - 'context' - 'hint',
  pg_catalog.jsonb_build_object(
    'sqlstate', 'IN307',
    'message', 'tenant key is destroyed, retired or unknown',
    'detail', pg_catalog.format('Key %s.', k.id)),
  'its credentials are lost, also to who has its bytes in the keyring; the error names the key')
from key as k;
select throws_ok(
  $$ select integrations.unlock('kek-1', tests.kek()) $$, 'IN307', null, 'nothing is left to open');
select tests.as_admin();
select throws_ok(
  'select integrations.destroy_key(k.id, k.id::text) from key as k', 'IN307', null,
  'destroy_key refuses a destroyed key');
select throws_ok(
  'select integrations.retire_key(k.id) from key as k', 'IN307', null,
  'and retire_key does');
select tests.unchanged('once is enough');
select tests.as_service(tests.tenant_b());
select is(integrations.unlock('kek-1', tests.kek()), 1, 'another tenant''s key opens');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_b())), '{"token": "t0"}'::jsonb,
  'and its credentials are read');

select * from finish();
rollback;
