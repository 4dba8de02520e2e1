-- Tests functions/seal_credentials: the envelope, byte by byte.
begin;
select plan(16);

select has_function(
  'integrations_private', 'seal_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'text']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.seal_credentials(uuid,uuid,uuid,integer,bytea,text)'::regprocedure
  ),
  'tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, '
    || 'credentials text',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'seal_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'text'],
  'jsonb'
);
select function_lang_is(
  'integrations_private', 'seal_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'text'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'seal_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'text'],
  'volatile'
);
select isnt_definer(
  'integrations_private', 'seal_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'text']
);
select function_owner_is(
  'integrations_private', 'seal_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'text'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.seal_credentials(uuid,uuid,uuid,integer,bytea,text)',
  array[]::name[]
);

select tests.as_owner(null);
create temporary table sealed on commit drop as
select integrations_private.seal_credentials(
         tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek(), c.credentials)
         as envelope
  from (values ('{"token": "' || pg_catalog.repeat('x', 1000) || '"}')) as c (credentials);

select set_eq(
  'select pg_catalog.jsonb_object_keys(envelope) from sealed',
  array['v', 'key', 'version', 'ct', 'mac'], 'an envelope has these fields');
select results_eq(
  $$ select envelope -> 'v', envelope ->> 'key', envelope -> 'version' from sealed $$,
  $$ select '1'::jsonb, tests.nobody()::text, '7'::jsonb $$,
  'it names its format, key and version');
select matches(
  (select s.envelope ->> 'ct' from sealed as s), '^[A-Za-z0-9+/]+={0,2}$',
  'the ciphertext is base64 on one line');
select matches(
  (select s.envelope ->> 'mac' from sealed as s), '^[A-Za-z0-9+/]{43}=$',
  'the MAC is base64 of 32 bytes');
select is(
  (select pg_catalog.decode(s.envelope ->> 'mac', 'base64') from sealed as s),
  (select integrations_private.hmac(
            pg_catalog.decode(s.envelope ->> 'ct', 'base64'),
            integrations_private.credentials_subkey(
              'mac', tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek()))
     from sealed as s),
  'the MAC is over the ciphertext, under a subkey of its own');
select is(
  (select integrations_private.decrypt_text(
            pg_catalog.decode(s.envelope ->> 'ct', 'base64'),
            pg_catalog.encode(
              integrations_private.credentials_subkey(
                'enc', tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek()),
              'hex'))
     from sealed as s),
  '{"token": "' || pg_catalog.repeat('x', 1000) || '"}',
  'the ciphertext opens under the other');
select isnt(
  (select s.envelope ->> 'ct' from sealed as s),
  integrations_private.seal_credentials(
    tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek(),
    '{"token": "' || pg_catalog.repeat('x', 1000) || '"}') ->> 'ct',
  'the same again looks different');

select * from finish();
rollback;
