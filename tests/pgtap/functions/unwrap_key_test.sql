-- Tests functions/unwrap_key.
begin;
select plan(24);

select has_function(
  'integrations_private', 'unwrap_key', array['uuid', 'uuid', 'bytea', 'bytea', 'bytea']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.unwrap_key(uuid,uuid,bytea,bytea,bytea)'::regprocedure
  ),
  'tenant_id uuid, key_id uuid, kek bytea, wrapped bytea, check_value bytea',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'unwrap_key',
  array['uuid', 'uuid', 'bytea', 'bytea', 'bytea'],
  'bytea'
);
select function_lang_is(
  'integrations_private', 'unwrap_key',
  array['uuid', 'uuid', 'bytea', 'bytea', 'bytea'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'unwrap_key',
  array['uuid', 'uuid', 'bytea', 'bytea', 'bytea'],
  'volatile'
);
select isnt_definer(
  'integrations_private', 'unwrap_key',
  array['uuid', 'uuid', 'bytea', 'bytea', 'bytea']
);
select function_owner_is(
  'integrations_private', 'unwrap_key',
  array['uuid', 'uuid', 'bytea', 'bytea', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.unwrap_key(uuid,uuid,bytea,bytea,bytea)',
  array['integrations_keymaster']
);

do $$
begin
  perform tests.a_key(tests.tenant_a());
end
$$;

select tests.as_keymaster();
create temporary table key on commit drop as
select k.id, k.wrapped, k.check_value from tests.active_key(tests.tenant_a()) as k;
select is(
  (select integrations_private.unwrap_key(
            tests.tenant_a(), k.id, tests.kek(), k.wrapped, k.check_value)
     from key as k),
  tests.data_key(tests.tenant_a()), 'the data key comes out');
select throws_ok(
  pg_catalog.format(
    'select integrations_private.unwrap_key(%L, %L, %L, %L, %L)',
    v.tenant_id, v.key_id, v.kek, v.wrapped, v.check_value),
  'IN304', 'integrity check failed', 'unwrap_key refuses ' || v.what)
from key as k
     cross join lateral (
       values ('another tenant', tests.tenant_b(), k.id, tests.kek(), k.wrapped, k.check_value),
              ('another key id', tests.tenant_a(), tests.nobody(), tests.kek(), k.wrapped,
               k.check_value),
              ('another KEK', tests.tenant_a(), k.id, tests.kek(2), k.wrapped, k.check_value),
              ('no KEK', tests.tenant_a(), k.id, null, k.wrapped, k.check_value),
              ('an altered key', tests.tenant_a(), k.id, tests.kek(),
               pg_catalog.set_byte(k.wrapped, 40, pg_catalog.get_byte(k.wrapped, 40) # 1),
               k.check_value),
              ('no key', tests.tenant_a(), k.id, tests.kek(), null, k.check_value),
              ('no bytes', tests.tenant_a(), k.id, tests.kek(), ''::bytea, k.check_value),
              ('garbage', tests.tenant_a(), k.id, tests.kek(), tests.kek(), k.check_value),
              ('another check value', tests.tenant_a(), k.id, tests.kek(), k.wrapped,
               pg_catalog.substr(tests.kek(), 1, 16)),
              ('no check value', tests.tenant_a(), k.id, tests.kek(), k.wrapped, null)
     ) as v (what, tenant_id, key_id, kek, wrapped, check_value);
select is(
  tests.error_of(
    pg_catalog.format(
      'select integrations_private.unwrap_key(%L, %L, %L, %L, %L)',
      tests.tenant_a(), k.id, tests.kek(2), k.wrapped, k.check_value)) - 'context',
  pg_catalog.jsonb_build_object(
    'sqlstate', 'IN304',
    'message', 'integrity check failed',
    'detail', pg_catalog.format('Key %s.', k.id),
    'hint', 'The stored key was altered or moved. Restore it from a backup.'),
  'the error names the key and tells nothing of its bytes')
from key as k;

-- A server in trouble is no damage: whoever took it for that would look for an attacker.
select tests.as_superuser();
create function tests.decrypt_in_trouble(sqlstate text) returns void language plpgsql as $f$
begin
  execute pg_catalog.format(
    'create or replace function integrations_private.decrypt_bytes(ciphertext bytea,'
    ' passphrase text) returns bytea language plpgsql as'
    ' $$ begin raise exception ''in trouble'' using errcode = %L; end $$', sqlstate);
end
$f$;
do $$ begin perform tests.decrypt_in_trouble('53200'); end $$;
select throws_ok(
  pg_catalog.format(
    'select integrations_private.unwrap_key(%L, %L, %L, %L, %L)',
    tests.tenant_a(), k.id, tests.kek(), k.wrapped, k.check_value),
  '53200', 'in trouble', 'no memory is not an altered key')
from key as k;
do $$ begin perform tests.decrypt_in_trouble('54000'); end $$;
select throws_ok(
  pg_catalog.format(
    'select integrations_private.unwrap_key(%L, %L, %L, %L, %L)',
    tests.tenant_a(), k.id, tests.kek(), k.wrapped, k.check_value),
  '54000', 'in trouble', 'nor is a limit')
from key as k;

select * from finish();
rollback;
