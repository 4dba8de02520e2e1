-- Tests functions/credentials_expire_at.
begin;
select plan(39);

select has_function('integrations_private', 'credentials_expire_at', array['jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.credentials_expire_at(jsonb)'::regprocedure
  ),
  'credentials jsonb',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'credentials_expire_at',
  array['jsonb'],
  'timestamp with time zone'
);
select function_lang_is('integrations_private', 'credentials_expire_at', array['jsonb'], 'plpgsql');
select volatility_is('integrations_private', 'credentials_expire_at', array['jsonb'], 'volatile');
select isnt_definer('integrations_private', 'credentials_expire_at', array['jsonb']);
select function_owner_is(
  'integrations_private', 'credentials_expire_at',
  array['jsonb'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.credentials_expire_at(jsonb)', array[]::name[]);

select tests.as_owner(null);
select is(
  integrations_private.credentials_expire_at(v.credentials::jsonb), v.expected::timestamptz,
  'the expiry of ' || v.credentials)
from (
  values ('{"expires_at": "2030-01-02T03:04:05Z"}', '2030-01-02 03:04:05+00'),
         ('{"expires_at": "2030-01-02t03:04:05z"}', '2030-01-02 03:04:05+00'),
         ('{"expires_at": "2030-01-02T03:04:05.678+02:00"}', '2030-01-02 01:04:05.678+00'),
         ('{"expires_at": 1893553445}', '2030-01-02 03:04:05+00'),
         ('{"expires_at": "1893553445"}', '2030-01-02 03:04:05+00'),
         ('{"expires_at": 1893553445.5}', '2030-01-02 03:04:05.5+00'),
         ('{"expires_at": 1893553445, "expires_in": 60}', '2030-01-02 03:04:05+00'),
         ('{}', null),
         ('{"expires_at": null}', null),
         ('{"expires_at": ""}', null),
         ('{"expires_at": "soon"}', null),
         ('{"expires_at": "tomorrow"}', null),
         ('{"expires_at": "infinity"}', null),
         ('{"expires_at": "2030-01-02"}', null),
         ('{"expires_at": "2030-13-45T03:04:05Z"}', null),
         ('{"expires_at": "2030-01-02T03:04:05"}', null),
         ('{"expires_at": -1}', null),
         ('{"expires_at": 1e300}', null),
         ('{"expires_at": 99999999999999999999}', null),
         ('{"expires_at": 1893553445000}', null),
         ('{"expires_at": true}', null),
         ('{"expires_at": {"at": 1}}', null),
         ('{"expires_at": [1]}', null),
         ('{"expires_in": null}', null),
         ('{"expires_in": "soon"}', null),
         ('{"expires_in": -60}', null),
         ('{"expires_in": 99999999999999999999}', null)
) as v (credentials, expected);
select ok(
  integrations_private.credentials_expire_at('{"expires_in": 3600}')
    between pg_catalog.now() + interval '1 hour'
        and pg_catalog.clock_timestamp() + interval '1 hour',
  'expires_in counts seconds from now');
select ok(
  integrations_private.credentials_expire_at('{"expires_in": "3600"}')
    between pg_catalog.now() + interval '1 hour'
        and pg_catalog.clock_timestamp() + interval '1 hour',
  'also as text');

-- The caller's date style is none of its business.
set local datestyle = 'SQL, DMY';
select is(
  integrations_private.credentials_expire_at('{"expires_at": "2030-02-01T00:00:00Z"}'),
  pg_catalog.make_timestamptz(2030, 2, 1, 0, 0, 0, 'UTC'),
  'a date is read the same in every session');

select * from finish();
rollback;
