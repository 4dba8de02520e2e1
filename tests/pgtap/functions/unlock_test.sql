-- Tests functions/unlock: keys open for one tenant and one transaction.
begin;
select plan(56);

select has_function('integrations', 'unlock', array['text', 'bytea']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.unlock(text,bytea)'::regprocedure
  ),
  'kek_id text, kek bytea',
  'its parameters are called by these names'
);
select function_returns('integrations', 'unlock', array['text', 'bytea'], 'integer');
select function_lang_is('integrations', 'unlock', array['text', 'bytea'], 'plpgsql');
select volatility_is('integrations', 'unlock', array['text', 'bytea'], 'volatile');
select is_definer('integrations', 'unlock', array['text', 'bytea']);
select function_owner_is('integrations', 'unlock', array['text', 'bytea'], 'integrations_owner');
select tests.executable_by('integrations.unlock(text,bytea)', array['svc_integration']);

do $$
begin
  perform tests.a_key(tests.tenant_a());
  perform tests.a_key(tests.tenant_b());
end
$$;

select tests.as_service(tests.tenant_a());
select is(
  integrations.unlock(kek_id => 'kek-1', kek => tests.kek()), 1, 'one key is opened');
select is(
  pg_catalog.current_setting('integrations.keyring'),
  tests.tenant_a() || '|' || (tests.active_key(tests.tenant_a())).id || '='
    || pg_catalog.encode(tests.data_key(tests.tenant_a()), 'hex'),
  'it is in the keyring of the transaction');
select is(integrations.unlock('kek-1', tests.kek()), 1, 'to unlock twice is no error');

do $$
begin
  perform tests.a_key(tests.tenant_a());
  perform tests.a_key(tests.tenant_a(), 2);
end
$$;
select is(
  integrations.unlock('kek-1', tests.kek()), 2,
  'older keys are opened too: what they encrypted is still read');
select is(
  integrations.unlock('kek-2', tests.kek(2)), 1, 'a second KEK opens the keys that it wraps');
select is(
  pg_catalog.length(pg_catalog.current_setting('integrations.keyring')), 36 + 3 * 102,
  'and the three are in the ring together');

savepoint locked;
select is(
  pg_catalog.set_config('integrations.keyring', '', true), '', 'the ring is thrown away');
rollback to savepoint locked;
select is(
  pg_catalog.length(pg_catalog.current_setting('integrations.keyring')), 36 + 3 * 102,
  'the ring follows the transaction, also back');

do $$
begin
  perform pg_catalog.set_config('integrations.keyring', '', true);
  perform tests.remember();
end
$$;
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', v.kek_id, tests.kek()),
  '22023', null, 'unlock refuses ' || v.what)
from (
  values ('a null name', null),
         ('an empty name', ''),
         ('a blank name', ' '),
         ('a name of 201 characters', pg_catalog.repeat('k', 201))
) as v (what, kek_id);
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', i.kek_id, v.kek),
  '22023', 'kek must be 32 bytes', 'unlock refuses a KEK of ' || v.what || ' as ' || i.kek_id)
from (
  values ('null', null),
         ('no bytes', ''::bytea),
         ('16 bytes', pg_catalog.substr(tests.kek(), 1, 16)),
         ('31 bytes', pg_catalog.substr(tests.kek(), 1, 31)),
         ('33 bytes', tests.kek() || '\x00')
) as v (what, kek)
     cross join pg_catalog.unnest(array['kek-1', 'kek-9']) as i (kek_id);
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', 'kek-1', tests.kek(2)),
  'IN303', 'wrong key-encryption key', 'unlock refuses a wrong KEK');
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', 'kek-9', tests.kek()),
  'IN307', 'no usable tenant key under this KEK', 'unlock refuses an unknown kek_id');
select tests.as_service(tests.tenant_b());
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', 'kek-2', tests.kek(2)),
  'IN307', null, 'unlock refuses a KEK under which only another tenant has keys');
select tests.as_service(null);
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', 'kek-1', tests.kek()),
  'IN001', null, 'unlock needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', 'kek-1', tests.kek()),
  '42501', null, 'an application may not unlock');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', 'kek-1', tests.kek()),
  '42501', null, 'an administrator may not unlock');
select tests.as_auditor();
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', 'kek-1', tests.kek()),
  '42501', null, 'an auditor may not unlock');
select is(
  pg_catalog.current_setting('integrations.keyring'), '', 'refused calls open nothing');
select tests.unchanged('and change nothing');

-- What a tamperer does to the stored keys.
select tests.as_superuser();
update integrations_private.tenant_keys
   set state = 'retired'
 where tenant_id = tests.tenant_a() and version = 1;
update integrations_private.tenant_keys
   set state = 'destroyed', wrapped = null
 where tenant_id = tests.tenant_a() and version = 2;
do $$
begin
  perform tests.remember();
end
$$;
select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', 'kek-1', tests.kek()),
  'IN307', null, 'unlock finds nothing where all keys are retired or destroyed');
select tests.unchanged('and leaves them so');

select tests.as_superuser();
update integrations_private.tenant_keys as k
   set wrapped = pg_catalog.set_byte(k.wrapped, 40, pg_catalog.get_byte(k.wrapped, 40) # 1)
 where k.tenant_id = tests.tenant_a() and k.version = 3;
select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', 'kek-2', tests.kek(2)),
  'IN304', 'integrity check failed', 'unlock refuses an altered key');
select tests.as_superuser();
update integrations_private.tenant_keys as k
   set wrapped = (tests.active_key(tests.tenant_b())).wrapped,
       check_value = (tests.active_key(tests.tenant_b())).check_value,
       kek_id = 'kek-1'
 where k.tenant_id = tests.tenant_a() and k.version = 3;
select tests.as_service(tests.tenant_a());
select throws_ok(
  pg_catalog.format('select integrations.unlock(%L, %L)', 'kek-1', tests.kek()),
  'IN304', 'integrity check failed',
  'unlock refuses a key that was moved here from another tenant, in the same words');
select is(
  pg_catalog.current_setting('integrations.keyring'), '', 'neither is in the keyring');

select * from finish();
rollback;
