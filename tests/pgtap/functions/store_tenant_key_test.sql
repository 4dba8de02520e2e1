-- Tests functions/store_tenant_key.
begin;
select plan(18);

select has_function(
  'integrations_private', 'store_tenant_key', array['uuid', 'uuid', 'text', 'bytea', 'bytea']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.store_tenant_key(uuid,uuid,text,bytea,bytea)'::regprocedure
  ),
  'tenant_id uuid, key_id uuid, kek_id text, wrapped bytea, check_value bytea',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'store_tenant_key',
  array['uuid', 'uuid', 'text', 'bytea', 'bytea'],
  'void'
);
select function_lang_is(
  'integrations_private', 'store_tenant_key',
  array['uuid', 'uuid', 'text', 'bytea', 'bytea'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'store_tenant_key',
  array['uuid', 'uuid', 'text', 'bytea', 'bytea'],
  'volatile'
);
select isnt_definer(
  'integrations_private', 'store_tenant_key',
  array['uuid', 'uuid', 'text', 'bytea', 'bytea']
);
select function_owner_is(
  'integrations_private', 'store_tenant_key',
  array['uuid', 'uuid', 'text', 'bytea', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.store_tenant_key(uuid,uuid,text,bytea,bytea)',
  array[]::name[]
);

do $$
begin
  perform tests.a_key(tests.tenant_a());
  perform tests.a_key(tests.tenant_b());
end
$$;

select tests.as_owner(tests.tenant_a());
select lives_ok(
  $$
    select integrations_private.store_tenant_key(
      tests.tenant_a(), tests.nobody(), 'kek-1', '\x00', pg_catalog.substr(tests.kek(), 1, 16))
  $$,
  'a key that was wrapped anywhere');
select results_eq(
  $$
    select k.version, k.state::text, k.id = tests.nobody(), k.created_at < k.updated_at
      from integrations_private.tenant_keys as k
     order by k.version
  $$,
  $$ values (1, 'decrypt_only', false, true), (2, 'active', true, false) $$,
  'it is the active one; the former only decrypts');
select results_eq(
  $$
    select a.instance_id, a.detail
      from tests.audited(tests.tenant_a(), 'tenant_key_created') as a
     where a.detail ->> 'key' = tests.nobody()::text
  $$,
  $$
    select null::uuid,
           pg_catalog.jsonb_build_object('key', tests.nobody(), 'version', 2, 'kek_id', 'kek-1')
  $$,
  'its making is audited, without material');
select is(
  (tests.active_key(tests.tenant_b())).version, 1, 'other tenants keep theirs');
do $$
begin
  perform tests.remember();
end
$$;

select throws_ok(
  pg_catalog.format(
    'select integrations_private.store_tenant_key(%L, pg_catalog.gen_random_uuid(), %L, %L, %L)',
    v.tenant_id, v.kek_id, v.wrapped, v.check_value),
  v.sqlstate, null, 'store_tenant_key refuses ' || v.what)
from (
  values ('an unknown KEK', tests.tenant_a(), 'kek-9', '\x00'::bytea,
          pg_catalog.substr(tests.kek(), 1, 16), '23503'),
         ('no key', tests.tenant_a(), 'kek-1', null, pg_catalog.substr(tests.kek(), 1, 16),
          '23514'),
         ('half a check value', tests.tenant_a(), 'kek-1', '\x00'::bytea,
          pg_catalog.substr(tests.kek(), 1, 8), '23514'),
         ('another tenant', tests.tenant_b(), 'kek-1', '\x00'::bytea,
          pg_catalog.substr(tests.kek(), 1, 16), '42501')
) as v (what, tenant_id, kek_id, wrapped, check_value, sqlstate);
select tests.unchanged('and the active key stays active');

select * from finish();
rollback;
