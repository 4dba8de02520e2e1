-- Tests functions/unlock_key: one key opens, for one tenant and one transaction.
begin;
select plan(40);

select has_function(
  'integrations', 'unlock_key', array['uuid', 'bytea']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations.unlock_key(uuid,bytea)'::regprocedure
  ),
  'key_id uuid, data_key bytea',
  'its parameters are called by these names'
);
select function_returns(
  'integrations', 'unlock_key',
  array['uuid', 'bytea'],
  'void'
);
select function_lang_is(
  'integrations', 'unlock_key',
  array['uuid', 'bytea'],
  'plpgsql'
);
select volatility_is(
  'integrations', 'unlock_key',
  array['uuid', 'bytea'],
  'volatile'
);
select is_definer(
  'integrations', 'unlock_key',
  array['uuid', 'bytea']
);
select function_owner_is(
  'integrations', 'unlock_key',
  array['uuid', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations.unlock_key(uuid,bytea)',
  array['svc_integration']
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active');
  perform tests.a_key(tests.tenant_b());
end
$$;
create temporary table key on commit drop as
select k.id, tests.data_key(tests.tenant_a()) as data_key
  from tests.active_key(tests.tenant_a()) as k;
grant select on key to svc_integration;
do $$
begin
  perform tests.remember();
end
$$;

select tests.as_service(tests.tenant_a());
select lives_ok(
  'select integrations.unlock_key(key_id => k.id, data_key => k.data_key) from key as k',
  'a key that was unwrapped elsewhere is opened');
select is(
  pg_catalog.current_setting('integrations.keyring'),
  tests.tenant_a() || '|' || k.id || '=' || pg_catalog.encode(k.data_key, 'hex'),
  'it is in the keyring of the transaction')
from key as k;
select lives_ok(
  'select integrations.unlock_key(k.id, k.data_key) from key as k', 'again is no error');
select is(
  pg_catalog.length(pg_catalog.current_setting('integrations.keyring')), 36 + 102,
  'and the key is there once');
select tests.unchanged('to open a key writes nothing');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a())), '{"token": "t0"}'::jsonb,
  'credentials are read');
do $$
begin
  perform tests.remember();
end
$$;

do $$
begin
  perform pg_catalog.set_config('integrations.keyring', '', true);
end
$$;
select throws_ok(
  pg_catalog.format('select integrations.unlock_key(%L, %L)', v.key_id, v.data_key),
  v.sqlstate, v.message, 'unlock_key refuses ' || v.what)
from key as k
     cross join lateral (
       values ('a null id', null, k.data_key, '22023', 'key_id must not be null'),
              ('a null key', k.id, null, '22023', 'data_key must be 32 bytes'),
              ('no bytes', k.id, ''::bytea, '22023', 'data_key must be 32 bytes'),
              ('31 bytes', k.id, pg_catalog.substr(k.data_key, 2), '22023',
               'data_key must be 32 bytes'),
              ('33 bytes', k.id, k.data_key || '\x00', '22023', 'data_key must be 32 bytes'),
              ('other bytes', k.id, tests.kek(), 'IN303', 'wrong tenant key'),
              ('an unknown key', tests.nobody(), k.data_key, 'IN307',
               'tenant key is destroyed, retired or unknown'),
              ('another tenant''s key', (tests.active_key(tests.tenant_b())).id,
               tests.data_key(tests.tenant_b()), 'IN307',
               'tenant key is destroyed, retired or unknown')
     ) as v (what, key_id, data_key, sqlstate, message);
select is(
  tests.answer_about(
    'select integrations.unlock_key(%L, tests.kek())', (tests.active_key(tests.tenant_b())).id),
  tests.answer_about('select integrations.unlock_key(%L, tests.kek())', tests.nobody()),
  'but for the id, another tenant''s key and none give the same answer');
select tests.as_service(null);
select throws_ok(
  'select integrations.unlock_key(k.id, k.data_key) from key as k', 'IN001', null,
  'unlock_key needs a tenant');
select tests.as_tenant(tests.tenant_a());
select throws_ok(
  'select integrations.unlock_key(tests.nobody(), tests.kek())', '42501', null,
  'an application may not unlock');
select tests.as_admin(tests.tenant_a());
select throws_ok(
  'select integrations.unlock_key(tests.nobody(), tests.kek())', '42501', null,
  'an administrator may not unlock');
select tests.as_auditor();
select throws_ok(
  'select integrations.unlock_key(tests.nobody(), tests.kek())', '42501', null,
  'an auditor may not unlock');
select is(
  pg_catalog.current_setting('integrations.keyring'), '', 'refused calls open nothing');
select tests.unchanged('and change nothing');

select tests.as_superuser();
update integrations_private.tenant_keys set state = 'retired' where tenant_id = tests.tenant_a();
select tests.as_service(tests.tenant_a());
select throws_ok(
  'select integrations.unlock_key(k.id, k.data_key) from key as k', 'IN307', null,
  'unlock_key refuses a retired key');
select tests.as_superuser();
update integrations_private.tenant_keys
   set state = 'destroyed', wrapped = null
 where tenant_id = tests.tenant_a();
select tests.as_service(tests.tenant_a());
select throws_ok(
  'select integrations.unlock_key(k.id, k.data_key) from key as k', 'IN307', null,
  'unlock_key refuses a destroyed key');

select * from finish();
rollback;
