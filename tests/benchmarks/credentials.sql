-- What credentials.py measures on, made by a superuser in a database where everything is deployed:
-- the naive way's own tables, and procedures that fill them and the package's with the same rows.
-- The keys are no secrets: everybody can compute them.

create schema bench;
create role bench_svc login in role svc_integration;
create role bench_naive login bypassrls in role svc_integration;
grant usage on schema bench to bench_svc, bench_naive;

-- Ids that look random, as an application's do, and that a script of pgbench can tell from numbers.
-- STABLE, as the casts in them are, so that PostgreSQL puts them into the query that calls them.
create function bench.tenant(n bigint)
returns uuid
language sql
stable
return pg_catalog.md5('tenant ' || n)::uuid;

create function bench.key(n bigint)
returns uuid
language sql
stable
return pg_catalog.md5('key ' || n)::uuid;

create function bench.instance(n bigint, i bigint)
returns uuid
language sql
stable
return pg_catalog.md5('instance ' || n || ' ' || i)::uuid;

create function bench.data_key(n bigint)
returns bytea
language sql
immutable
return pg_catalog.sha256(pg_catalog.convert_to('data key ' || n, 'UTF8'));

-- What a service keeps for an OAuth connector, about 600 bytes.
create function bench.credentials(n bigint)
returns text
language sql
immutable
return pg_catalog.json_build_object(
  'access_token', pg_catalog.repeat(pg_catalog.md5('access ' || n), 8),
  'refresh_token', pg_catalog.repeat(pg_catalog.md5('refresh ' || n), 2),
  'token_type', 'Bearer', 'scope', 'accounting.transactions accounting.contacts offline_access',
  'instance_url', 'https://example.com/' || n)::text;

-- The naive way: the same rows, encrypted with the default options under one key, found by id.
create table bench.naive (
  id uuid primary key,
  tenant_id uuid not null,
  integration_id uuid not null,
  name text not null,
  credentials bytea not null,
  config jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);

create table bench.naive_audit (
  id bigint generated always as identity primary key,
  at timestamptz not null default now(),
  instance_id uuid not null,
  event text not null,
  actor text not null default session_user
);

grant select, insert, update on bench.naive, bench.naive_audit to bench_naive;
grant usage on schema pgcrypto, integrations_private to bench_naive;
grant select on integrations_private.tenant_keys to bench_naive;

-- Encrypting a million rows with the default options takes ten minutes: these stand for them all.
-- Each has its own number of rounds of hashing, which pgcrypto draws.
create table bench.naive_samples as
select n as number, pgcrypto.pgp_sym_encrypt(bench.credentials(n), 'the key of the naive way') as credentials
  from pg_catalog.generate_series(0, 999) as n;

-- The same cryptography as the package's, without its functions: SQL that PostgreSQL puts into the
-- query that calls it.
create function bench.unwrapped(wrapped bytea, tenant_id uuid, key_id uuid, kek text)
returns bytea
language sql
stable
return pgcrypto.pgp_sym_decrypt_bytea(
  wrapped,
  pg_catalog.encode(
    pgcrypto.hmac(
      pg_catalog.convert_to(
        'wrap|v1|' || tenant_id::text || '|' || key_id::text, 'UTF8'), kek::bytea, 'sha256'),
    'hex'));

create function bench.subkey(
  purpose text, version text, tenant_id uuid, id uuid, key_id text, data_key bytea)
returns bytea
language sql
stable
return pgcrypto.hmac(
  pg_catalog.convert_to(
    purpose || '|v1|' || tenant_id::text || '|' || id::text || '|' || key_id || '|' || version,
    'UTF8'),
  data_key, 'sha256');

create function bench.opened(envelope jsonb, tenant_id uuid, id uuid, data_key bytea)
returns text
language sql
stable
return case
  when pgcrypto.hmac(
         pg_catalog.decode(envelope ->> 'ct', 'base64'),
         bench.subkey('mac', envelope ->> 'version', tenant_id, id, envelope ->> 'key', data_key),
         'sha256')
       = pg_catalog.decode(envelope ->> 'mac', 'base64')
    then pgcrypto.pgp_sym_decrypt(
           pg_catalog.decode(envelope ->> 'ct', 'base64'),
           pg_catalog.encode(
             bench.subkey(
               'enc', envelope ->> 'version', tenant_id, id, envelope ->> 'key', data_key),
             'hex'))
end;

create function bench.envelope(
  ct bytea, version integer, tenant_id uuid, id uuid, key_id uuid, data_key bytea)
returns jsonb
language sql
stable
return pg_catalog.jsonb_build_object(
  'v', 1,
  'key', key_id,
  'version', version,
  'ct', pg_catalog.replace(pg_catalog.encode(ct, 'base64'), E'\n', ''),
  'mac', pg_catalog.encode(
    pgcrypto.hmac(
      ct, bench.subkey('mac', version::text, tenant_id, id, key_id::text, data_key), 'sha256'),
    'base64'));

insert into integrations.integration_definitions (id, name, type, version, status)
values (bench.tenant(0), 'Bench', 'oauth2', '1.0.0', 'published');

-- A typical connector of 15 fields, and credentials that have them all.
insert into integrations.integration_definitions
  (id, name, type, version, status, credentials_schema)
values
  (bench.tenant(-1), 'Bench with a schema', 'oauth2', '1.0.0', 'published', '{
    "type": "object",
    "required": ["client_id", "client_secret", "access_token", "refresh_token", "instance_url"],
    "additionalProperties": false,
    "properties": {
      "client_id": {"type": "string", "minLength": 1, "maxLength": 200},
      "client_secret": {"type": "string", "minLength": 16, "maxLength": 200},
      "access_token": {"type": "string", "pattern": "^[A-Za-z0-9._!-]+$", "maxLength": 4096},
      "refresh_token": {"type": "string", "minLength": 1, "maxLength": 4096},
      "instance_url": {
        "type": "string", "format": "uri",
        "pattern": "^https://[a-z0-9-]+([.][a-z0-9-]+)*[.]example[.]com$"
      },
      "token_type": {"enum": ["Bearer", "bearer"]},
      "issued_at": {"type": "string", "pattern": "^\\d{13}$"},
      "expires_at": {"type": ["string", "integer"]},
      "expires_in": {"type": "integer", "minimum": 0, "maximum": 31536000},
      "scopes": {
        "type": "array", "maxItems": 50, "uniqueItems": true,
        "items": {"type": "string", "pattern": "^[a-z_.:]+$"}
      },
      "sandbox": {"type": "boolean"},
      "api_version": {"type": "string", "pattern": "^v?\\d+\\.\\d+$"},
      "username": {"type": "string", "pattern": "^.+@.+$"},
      "id": {"type": "string", "format": "uri"},
      "signature": {"type": "string", "minLength": 20, "maxLength": 100}
    }
  }');
insert into integrations_private.compiled_schemas (definition_id, kind, schema)
select d.id, 'credentials', d.credentials_schema
  from integrations.integration_definitions as d
 where d.id = bench.tenant(-1);

create function bench.put(tenant bigint, instance bigint, calls integer)
returns void
language plpgsql
as $function$
declare
  v_id constant uuid := bench.instance(tenant, instance);
  v_credentials constant text := pg_catalog.json_build_object(
    'client_id', pg_catalog.repeat('3MVG9', 17), 'client_secret', '1955279925675241571',
    'access_token', pg_catalog.repeat('00Dx0000000BV7z!', 7),
    'refresh_token', pg_catalog.repeat('5Aep8614iLM.', 7),
    'instance_url', 'https://mydomain.my.example.com', 'token_type', 'Bearer',
    'issued_at', '1278448384422', 'expires_at', 1900000000, 'expires_in', 3600,
    'scopes', pg_catalog.json_build_array('api', 'refresh_token', 'openid'), 'sandbox', false,
    'api_version', 'v59.0', 'username', 'me@example.com',
    'id', 'https://login.example.com/id/00Dx0000000BV7z/005x00000012Q9P',
    'signature', '0CmxinZir53Yex7nE0TD+zMpvIWYGb/bdJh6XfOH6EQ=')::text;
begin
  for n in 1 .. calls loop
    perform integrations.put_credentials(v_id, v_credentials);
  end loop;
end;
$function$;

insert into integrations_private.key_encryption_keys (kek_id, check_value)
values ('bench', integrations_private.kek_check_value('bench', pg_catalog.sha256('kek')));

-- Each tenant has one key, which the KEK wraps as create_tenant_key does, and so many instances,
-- sealed as put_credentials does.
create procedure bench.fill(first bigint, last bigint, instances bigint)
language sql
begin atomic
  insert into integrations_private.tenant_keys (tenant_id, id, version, kek_id, wrapped, check_value)
  select bench.tenant(n), bench.key(n), 1, 'bench',
         integrations_private.encrypt_bytes(
           bench.data_key(n),
           integrations_private.wrapping_passphrase(
             bench.tenant(n), bench.key(n), pg_catalog.sha256('kek'))),
         integrations_private.data_key_check_value(bench.key(n), bench.data_key(n))
    from pg_catalog.generate_series(first, last) as n;

  insert into integrations.integration_instances
    (tenant_id, id, integration_id, name, status, credentials, credentials_version, created_at)
  select bench.tenant(n), bench.instance(n, i), bench.tenant(0), 'Instance ' || i, 'active',
         integrations_private.seal_credentials(
           bench.tenant(n), bench.instance(n, i), bench.key(n), 1, bench.data_key(n),
           bench.credentials(n * instances + i)),
         1, pg_catalog.now() - pg_catalog.make_interval(mins => (i * 7919 % 100003)::integer)
    from pg_catalog.generate_series(first, last) as n,
         pg_catalog.generate_series(1, instances) as i;

  insert into bench.naive (id, tenant_id, integration_id, name, credentials)
  select bench.instance(n, i), bench.tenant(n), bench.tenant(0), 'Instance ' || i, s.credentials
    from pg_catalog.generate_series(first, last) as n,
         pg_catalog.generate_series(1, instances) as i,
         bench.naive_samples as s
   where s.number = (n * instances + i) % 1000;
end;
