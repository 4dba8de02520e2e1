-- Tests functions/pgcrypto: the only way to pgcrypto, wherever it is.
begin;
select plan(60);

select has_function('integrations_private', 'hmac', array['bytea', 'bytea']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.hmac(bytea,bytea)'::regprocedure
  ),
  'data bytea, key bytea',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'hmac', array['bytea', 'bytea'], 'bytea');
select function_lang_is('integrations_private', 'hmac', array['bytea', 'bytea'], 'sql');
select volatility_is('integrations_private', 'hmac', array['bytea', 'bytea'], 'immutable');
select isnt_definer('integrations_private', 'hmac', array['bytea', 'bytea']);
select function_owner_is(
  'integrations_private', 'hmac',
  array['bytea', 'bytea'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.hmac(bytea,bytea)',
  array['integrations_keymaster']
);
select has_function('integrations_private', 'random_bytes', array['integer']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.random_bytes(integer)'::regprocedure
  ),
  'length integer',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'random_bytes', array['integer'], 'bytea');
select function_lang_is('integrations_private', 'random_bytes', array['integer'], 'sql');
select volatility_is('integrations_private', 'random_bytes', array['integer'], 'volatile');
select isnt_definer('integrations_private', 'random_bytes', array['integer']);
select function_owner_is(
  'integrations_private', 'random_bytes',
  array['integer'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.random_bytes(integer)',
  array['integrations_keymaster']
);
select has_function('integrations_private', 'encrypt_text', array['text', 'text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.encrypt_text(text,text)'::regprocedure
  ),
  'plaintext text, passphrase text',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'encrypt_text', array['text', 'text'], 'bytea');
select function_lang_is('integrations_private', 'encrypt_text', array['text', 'text'], 'sql');
select volatility_is('integrations_private', 'encrypt_text', array['text', 'text'], 'volatile');
select isnt_definer('integrations_private', 'encrypt_text', array['text', 'text']);
select function_owner_is(
  'integrations_private', 'encrypt_text',
  array['text', 'text'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.encrypt_text(text,text)',
  array['integrations_keymaster']
);
select has_function('integrations_private', 'decrypt_text', array['bytea', 'text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.decrypt_text(bytea,text)'::regprocedure
  ),
  'ciphertext bytea, passphrase text',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'decrypt_text', array['bytea', 'text'], 'text');
select function_lang_is('integrations_private', 'decrypt_text', array['bytea', 'text'], 'sql');
select volatility_is('integrations_private', 'decrypt_text', array['bytea', 'text'], 'immutable');
select isnt_definer('integrations_private', 'decrypt_text', array['bytea', 'text']);
select function_owner_is(
  'integrations_private', 'decrypt_text',
  array['bytea', 'text'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.decrypt_text(bytea,text)',
  array['integrations_keymaster']
);
select has_function('integrations_private', 'encrypt_bytes', array['bytea', 'text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.encrypt_bytes(bytea,text)'::regprocedure
  ),
  'plaintext bytea, passphrase text',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'encrypt_bytes', array['bytea', 'text'], 'bytea');
select function_lang_is('integrations_private', 'encrypt_bytes', array['bytea', 'text'], 'sql');
select volatility_is('integrations_private', 'encrypt_bytes', array['bytea', 'text'], 'volatile');
select isnt_definer('integrations_private', 'encrypt_bytes', array['bytea', 'text']);
select function_owner_is(
  'integrations_private', 'encrypt_bytes',
  array['bytea', 'text'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.encrypt_bytes(bytea,text)',
  array['integrations_keymaster']
);
select has_function('integrations_private', 'decrypt_bytes', array['bytea', 'text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.decrypt_bytes(bytea,text)'::regprocedure
  ),
  'ciphertext bytea, passphrase text',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'decrypt_bytes', array['bytea', 'text'], 'bytea');
select function_lang_is('integrations_private', 'decrypt_bytes', array['bytea', 'text'], 'sql');
select volatility_is('integrations_private', 'decrypt_bytes', array['bytea', 'text'], 'immutable');
select isnt_definer('integrations_private', 'decrypt_bytes', array['bytea', 'text']);
select function_owner_is(
  'integrations_private', 'decrypt_bytes',
  array['bytea', 'text'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.decrypt_bytes(bytea,text)',
  array['integrations_keymaster']
);

select tests.as_owner(null);

-- Test case 2 of RFC 4231.
select is(
  integrations_private.hmac('what do ya want for nothing?'::bytea, 'Jefe'::bytea),
  '\x5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843'::bytea,
  'hmac is HMAC-SHA-256');
select is(
  pg_catalog.octet_length(integrations_private.random_bytes(32)), 32,
  'random_bytes gives as many as asked for');
select isnt(
  integrations_private.random_bytes(32), integrations_private.random_bytes(32),
  'and never the same');
select is(
  integrations_private.decrypt_text(
    integrations_private.encrypt_text('{"token": "Zürich ☃"}', 'passphrase'), 'passphrase'),
  '{"token": "Zürich ☃"}', 'a text comes back');
select is(
  integrations_private.decrypt_bytes(
    integrations_private.encrypt_bytes('\x00ff10', 'passphrase'), 'passphrase'),
  '\x00ff10'::bytea, 'bytes come back');
select isnt(
  integrations_private.encrypt_text('same', 'passphrase'),
  integrations_private.encrypt_text('same', 'passphrase'),
  'equal texts have different ciphertexts');
select throws_ok(
  $$
    select integrations_private.decrypt_text(
      integrations_private.encrypt_text('secret', 'passphrase'), 'other')
  $$,
  '39000', null, 'another passphrase does not open a text');

-- RFC 4880: tag 3, version 4, cipher 9 (AES-256), S2K mode 1 (salted, not iterated), SHA-1 or
-- better, eight bytes of salt; then tag 18: encrypted data that carries its own integrity check.
select is(
  pg_catalog.substr(integrations_private.encrypt_text('x', 'passphrase'), 3, 3),
  '\x040901'::bytea, 'the cipher is AES-256, the passphrase salted');
select is(
  pg_catalog.get_byte(integrations_private.encrypt_text('x', 'passphrase'), 14), 210,
  'and the message has an integrity check of its own');

select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations_private.random_bytes(1) $$, '42501', null,
  'the service may not use the wrappers');

select * from finish();
rollback;
