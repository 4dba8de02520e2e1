-- Tests functions/open_credentials. Forgeries of whole rows are in scenarios/forgery.
begin;
select plan(31);

select has_function(
  'integrations_private', 'open_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'jsonb']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.open_credentials(uuid,uuid,uuid,integer,bytea,jsonb)'::regprocedure
  ),
  'tenant_id uuid, instance_id uuid, key_id uuid, version integer, data_key bytea, '
    || 'envelope jsonb',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'open_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'jsonb'],
  'text'
);
select function_lang_is(
  'integrations_private', 'open_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'jsonb'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'open_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'jsonb'],
  'volatile'
);
select isnt_definer(
  'integrations_private', 'open_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'jsonb']
);
select function_owner_is(
  'integrations_private', 'open_credentials',
  array['uuid', 'uuid', 'uuid', 'integer', 'bytea', 'jsonb'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.open_credentials(uuid,uuid,uuid,integer,bytea,jsonb)',
  array[]::name[]
);

select tests.as_owner(null);
create temporary table sealed on commit drop as
select integrations_private.seal_credentials(
         tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek(), '{"n": 1,  "n": 2}')
         as envelope;

select is(
  (select integrations_private.open_credentials(
            tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek(), s.envelope)
     from sealed as s),
  '{"n": 1,  "n": 2}', 'an envelope opens for what it was sealed for, to the letter');
select throws_ok(
  pg_catalog.format(
    'select integrations_private.open_credentials(%L, %L, %L, %L, %L, s.envelope) from sealed as s',
    v.tenant_id, v.instance_id, v.key_id, v.version, v.data_key),
  'IN304', 'integrity check failed',
  'open_credentials refuses another ' || v.what)
from (
  values ('tenant', tests.nobody(), tests.tenant_b(), tests.nobody(), 7, tests.kek()),
         ('instance', tests.tenant_a(), tests.nobody(), tests.nobody(), 7, tests.kek()),
         ('key id', tests.tenant_a(), tests.tenant_b(), tests.tenant_a(), 7, tests.kek()),
         ('version', tests.tenant_a(), tests.tenant_b(), tests.nobody(), 8, tests.kek()),
         ('data key', tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek(2))
) as v (what, tenant_id, instance_id, key_id, version, data_key);
select throws_ok(
  pg_catalog.format(
    'select integrations_private.open_credentials(%L, %L, %L, 7, %L, %L)',
    tests.tenant_a(), tests.tenant_b(), tests.nobody(), tests.kek(), v.envelope),
  'IN304', 'integrity check failed',
  'open_credentials refuses an envelope ' || v.what)
from sealed as s
     cross join lateral (
       values ('that is NULL', null),
              ('that is empty', '{}'),
              ('that is no object', '[]'),
              ('of another format', s.envelope || '{"v": 2}'),
              ('whose format is no number', s.envelope || '{"v": "one"}'),
              ('whose key is no id', s.envelope || '{"key": "one"}'),
              ('of a version out of range', s.envelope || '{"version": 99999999999}'),
              ('without ciphertext', s.envelope - 'ct'),
              ('with an empty ciphertext', s.envelope || '{"ct": ""}'),
              ('whose ciphertext is no base64', s.envelope || '{"ct": "*"}'),
              ('without MAC', s.envelope - 'mac'),
              ('with an empty MAC', s.envelope || '{"mac": ""}'),
              ('whose MAC is no base64', s.envelope || '{"mac": "*"}')
     ) as v (what, envelope);

-- Each byte of the ciphertext, one bit at a time: the MAC covers them all.
select is_empty(
  $$
    select b
      from sealed as s
           cross join lateral pg_catalog.generate_series(
             0, pg_catalog.octet_length(pg_catalog.decode(s.envelope ->> 'ct', 'base64')) - 1)
             as b
           cross join lateral (
             select pg_catalog.set_byte(c.ct, b, pg_catalog.get_byte(c.ct, b) # 1) as ct
               from (select pg_catalog.decode(s.envelope ->> 'ct', 'base64')) as c (ct)
           ) as flipped
     where tests.error_of(pg_catalog.format(
             'select integrations_private.open_credentials(%L, %L, %L, 7, %L, %L)',
             tests.tenant_a(), tests.tenant_b(), tests.nobody(), tests.kek(),
             s.envelope || pg_catalog.jsonb_build_object(
               'ct', pg_catalog.translate(
                 pg_catalog.encode(flipped.ct, 'base64'), E'\n', '')))) ->> 'sqlstate'
           is distinct from 'IN304'
  $$,
  'IN304 for every byte of the ciphertext that is changed');

-- A forger who has the MAC key but writes what is no JSON, or no object, still gets the one error.
select throws_ok(
  pg_catalog.format(
    'select integrations_private.open_credentials(%L, %L, %L, 7, %L, %L)',
    tests.tenant_a(), tests.tenant_b(), tests.nobody(), tests.kek(),
    integrations_private.seal_credentials(
      tests.tenant_a(), tests.tenant_b(), tests.nobody(), 7, tests.kek(), v.document)),
  'IN304', 'integrity check failed',
  'open_credentials refuses ' || v.what || ', without quoting it')
from (
  values ('what is no JSON', 'SENTINEL'),
         ('what is no object', '["SENTINEL"]')
) as v (what, document);

select * from finish();
rollback;
