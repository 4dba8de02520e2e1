-- What a tamperer with every privilege does to stored rows: each is IN304, in the same words.
begin;
select plan(36);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'one', 'active', '{"token": "one"}'),
          tests.an_instance(tests.tenant_a(), 'two', 'active', '{"token": "two"}'),
          tests.an_instance(tests.tenant_b(), 'one', 'active', '{"token": "theirs"}');
end
$$;

-- The service writes a second version; the tamperer has kept the first, and an older key.
create temporary table kept on commit drop as
select 'v1 of one' as what, i.* from tests.instance(tests.tenant_a(), 'one') as i;
select tests.as_service(tests.tenant_a());
select is(integrations.unlock('kek-1', tests.kek()), 1, 'the key is opened');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a(), 'one'), '{"token": "1b"}'), 2,
  'there is a second version of the credentials');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'one')) ->> 'token', '1b',
  'which can be read');
do $$
begin
  perform tests.a_key(tests.tenant_a());
end
$$;
select is(integrations.unlock('kek-1', tests.kek()), 2, 'a second key is opened too');

select tests.as_superuser();
create temporary table forgery on commit drop as
select v.what, v.envelope, v.version
  from tests.instance(tests.tenant_a(), 'one') as one
       cross join tests.instance(tests.tenant_a(), 'two') as two
       cross join tests.instance(tests.tenant_b(), 'one') as theirs
       cross join kept
       cross join lateral (
         select pg_catalog.decode(one.credentials ->> 'ct', 'base64') as ct,
                pg_catalog.decode(one.credentials ->> 'mac', 'base64') as mac
       ) as b
       cross join lateral (
         values
           ('another row''s envelope', two.credentials, one.credentials_version),
           ('another row''s envelope, with its version', two.credentials, two.credentials_version),
           ('another row''s envelope, dressed in this row''s version',
            two.credentials || '{"version": 2}', one.credentials_version),
           ('another row''s ciphertext',
            one.credentials || pg_catalog.jsonb_build_object('ct', two.credentials -> 'ct'), 2),
           ('another row''s ciphertext and MAC',
            one.credentials || pg_catalog.jsonb_build_object(
              'ct', two.credentials -> 'ct', 'mac', two.credentials -> 'mac'), 2),
           ('another tenant''s ciphertext and MAC',
            one.credentials || pg_catalog.jsonb_build_object(
              'ct', theirs.credentials -> 'ct', 'mac', theirs.credentials -> 'mac'), 2),
           ('the former version, replayed', kept.credentials, 2),
           ('the former version, dressed in the new one',
            kept.credentials || '{"version": 2}', 2),
           ('another version on the row', one.credentials, 3),
           ('another version in envelope and row', one.credentials || '{"version": 3}', 3),
           ('a version that is a fraction', one.credentials || '{"version": 2.5}', 2),
           ('another key of the tenant',
            one.credentials || pg_catalog.jsonb_build_object(
              'key', (tests.active_key(tests.tenant_a())).id), 2),
           ('a changed first byte of the ciphertext',
            one.credentials || pg_catalog.jsonb_build_object('ct', pg_catalog.translate(
              pg_catalog.encode(
                pg_catalog.set_byte(b.ct, 0, pg_catalog.get_byte(b.ct, 0) # 1), 'base64'),
              E'\n', '')), 2),
           ('a changed last byte of the ciphertext',
            one.credentials || pg_catalog.jsonb_build_object('ct', pg_catalog.translate(
              pg_catalog.encode(
                pg_catalog.set_byte(
                  b.ct, pg_catalog.octet_length(b.ct) - 1,
                  pg_catalog.get_byte(b.ct, pg_catalog.octet_length(b.ct) - 1) # 1), 'base64'),
              E'\n', '')), 2),
           ('a ciphertext without its last byte',
            one.credentials || pg_catalog.jsonb_build_object('ct', pg_catalog.translate(
              pg_catalog.encode(
                pg_catalog.substr(b.ct, 1, pg_catalog.octet_length(b.ct) - 1), 'base64'),
              E'\n', '')), 2),
           ('a ciphertext with a byte more',
            one.credentials || pg_catalog.jsonb_build_object('ct', pg_catalog.translate(
              pg_catalog.encode(b.ct || '\x00', 'base64'), E'\n', '')), 2),
           ('a ciphertext whose integrity packet is renamed',
            one.credentials || pg_catalog.jsonb_build_object('ct', pg_catalog.translate(
              pg_catalog.encode(pg_catalog.set_byte(b.ct, 14, 201), 'base64'), E'\n', '')), 2),
           ('an empty ciphertext', one.credentials || '{"ct": ""}', 2),
           ('a ciphertext that is no base64', one.credentials || '{"ct": "%"}', 2),
           ('a changed MAC',
            one.credentials || pg_catalog.jsonb_build_object('mac', pg_catalog.encode(
              pg_catalog.set_byte(b.mac, 31, pg_catalog.get_byte(b.mac, 31) # 128),
              'base64')), 2),
           ('a MAC cut in half',
            one.credentials || pg_catalog.jsonb_build_object('mac', pg_catalog.encode(
              pg_catalog.substr(b.mac, 1, 16), 'base64')), 2),
           ('an empty MAC', one.credentials || '{"mac": ""}', 2),
           -- Who knows the data key of B but not of A.
           ('a message sealed under another tenant''s data key',
            integrations_private.seal_credentials(
              tests.tenant_a(), one.id, one.credentials_key_id, 2,
              tests.data_key(tests.tenant_b()), '{"token": "forged"}'), 2)
       ) as v (what, envelope, version);

-- Puts a forgery into the row and reads it as the service does; the subtransaction takes it back.
create function pg_temp.read_forged(what text)
returns jsonb
language plpgsql
as $function$
declare
  v_forgery forgery;
  v_error jsonb;
begin
  select f.* into strict v_forgery from forgery as f where f.what = read_forged.what;
  begin
    update integrations.integration_instances as i
       set credentials = v_forgery.envelope, credentials_version = v_forgery.version
     where i.tenant_id = tests.tenant_a() and i.name = 'one';
    perform tests.remember();
    v_error := tests.error_of(pg_catalog.format(
      'select integrations.get_credentials(%L)', tests.instance_id(tests.tenant_a(), 'one')));
    if tests.state() <> pg_catalog.current_setting('tests.state') then
      v_error := '{"message": "the refused read has changed something"}';
    end if;
    raise exception using errcode = 'P0001', message = coalesce(v_error::text, '{}');
  exception when raise_exception then
    return sqlerrm::jsonb;
  end;
end;
$function$;
grant select on forgery to svc_integration;

-- The tamperer's session reads, for it alone may write the row: the definer function runs as the
-- owner whoever calls it.
select is(
  pg_temp.read_forged(f.what) - 'context' - 'detail',
  pg_catalog.jsonb_build_object(
    'sqlstate', 'IN304',
    'message', 'integrity check failed',
    'hint', 'The stored envelope was altered or moved. Store the credentials anew.'),
  'IN304 for ' || f.what)
from forgery as f;
select is(
  (select pg_catalog.count(distinct pg_temp.read_forged(f.what) ->> 'context')
     from forgery as f),
  1::bigint, 'no context tells how far a forgery came');

-- Moving a row, or its key, to another tenant.
do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$
    update integrations.integration_instances as i
       set credentials = (tests.instance(tests.tenant_b(), 'one')).credentials
     where i.tenant_id = tests.tenant_a() and i.name = 'one'
  $$,
  '23503', null, 'B''s envelope cannot stand in A''s row: A has no such key');
select tests.unchanged('it does not');
-- With the constraints out of the way, and B's key copied to A as well.
set local session_replication_role = replica;
insert into integrations_private.tenant_keys
  (tenant_id, id, version, kek_id, wrapped, check_value, state)
select tests.tenant_a(), k.id, 99, k.kek_id, k.wrapped, k.check_value, 'decrypt_only'
  from tests.active_key(tests.tenant_b()) as k;
update integrations.integration_instances as i
   set credentials = (tests.instance(tests.tenant_b(), 'one')).credentials,
       credentials_version = 1
 where i.tenant_id = tests.tenant_a() and i.name = 'one';
set local session_replication_role = origin;
do $$
begin
  perform tests.remember();
end
$$;
select tests.as_service(tests.tenant_a());
select throws_ok(
  $$ select integrations.unlock('kek-1', tests.kek()) $$, 'IN304',
  'integrity check failed', 'unlock refuses B''s key in A''s hands');
-- Even if A came by the bytes of B's key.
select throws_ok(
  pg_catalog.format(
    $$
      select integrations.get_credentials(tests.instance_id(tests.tenant_a(), 'one'))
       where pg_catalog.set_config('integrations.keyring', %L, true) is not null
    $$,
    tests.tenant_a() || '|' || (tests.active_key(tests.tenant_b())).id || '='
      || pg_catalog.encode(tests.data_key(tests.tenant_b()), 'hex')),
  'IN304', 'integrity check failed',
  'get_credentials refuses B''s envelope in A''s row, with B''s key at hand');
select tests.unchanged('neither changes anything');

select * from finish();
rollback;
