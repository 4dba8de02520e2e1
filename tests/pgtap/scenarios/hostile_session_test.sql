-- A caller prepares its session against the definer functions: nothing comes of it.
begin;
select plan(23);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active', '{"token": "SENTINEL"}'),
          tests.an_instance(tests.tenant_b(), 'crm', 'active');
end
$$;

-- Shadows of what the functions call and read, first in the caller's search path.
create schema attacker;
grant usage on schema attacker to public;
create function attacker.hmac(bytea, bytea) returns bytea language sql return '\x00'::bytea;
create function attacker.hmac(bytea, bytea, text) returns bytea language sql return '\x00'::bytea;
create function attacker.encode(bytea, text) returns text language sql return 'stolen'::text;
create function attacker.decode(text, text) returns bytea language sql return '\x00'::bytea;
create function attacker.current_tenant() returns uuid language sql return tests.tenant_b();
create function attacker.require_tenant() returns uuid language sql return tests.tenant_b();
create table attacker.tenant_keys (tenant_id uuid);
create table attacker.integration_instances (tenant_id uuid);
grant select on all tables in schema attacker to public;

select tests.as_service(tests.tenant_a());
create temporary table integration_instances (tenant_id uuid) on commit drop;
create temporary table audit_log (tenant_id uuid) on commit drop;
set local search_path = attacker, pg_temp, public;
set local row_security = off;
set local plpgsql.print_strict_params = on;
set local plpgsql.check_asserts = off;
set local debug_print_plan = on;
set local debug_print_parse = on;
set local debug_print_rewritten = on;

select is(integrations.unlock('kek-1', tests.kek()), 1, 'unlock works as ever');
select is(
  integrations.get_credentials(tests.instance_id(tests.tenant_a())),
  '{"token": "SENTINEL"}'::jsonb, 'so does get_credentials');
select is(
  integrations.put_credentials(tests.instance_id(tests.tenant_a()), '{"token": "SENTINEL2"}', 1),
  2, 'and put_credentials');
select is(
  (select pg_catalog.count(*) from tests.audited(tests.tenant_a(), 'credentials_read')),
  1::bigint, 'the audit entry is in the real log');
select is_empty('select * from pg_temp.audit_log', 'and not in the caller''s');
do $$
begin
  perform tests.remember();
end
$$;
select throws_ok(
  $$ select integrations.get_credentials(tests.instance_id(tests.tenant_b())) $$, 'IN201', null,
  'get_credentials still finds nothing of another tenant, with row_security off');
select throws_ok(
  $$ select id from integrations.integration_instances $$, '42501', null,
  'and without a function the rows are refused altogether');

-- Every error that knows a secret, with the settings that make PostgreSQL tell more. The context
-- quotes this test's own statement, as no caller with bind parameters writes it.
select is(
  pg_catalog.strpos((tests.error_of(v.statement) - 'context')::text, v.secret), 0,
  'no secret in the error of ' || v.what)
from (
  values ('put_credentials, malformed', 'SENTINEL3', pg_catalog.format(
            'select integrations.put_credentials(%L, %L)',
            tests.instance_id(tests.tenant_a()), '{"token": SENTINEL3}')),
         ('put_credentials, stale', 'SENTINEL3', pg_catalog.format(
            'select integrations.put_credentials(%L, %L, 1)',
            tests.instance_id(tests.tenant_a()), '{"token": "SENTINEL3"}')),
         ('unlock with a wrong KEK', pg_catalog.encode(tests.kek(2), 'hex'), pg_catalog.format(
            'select integrations.unlock(%L, %L)', 'kek-1', tests.kek(2))),
         ('unlock with a short KEK', 'c0ffee', pg_catalog.format(
            'select integrations.unlock(%L, %L)', 'kek-1', '\xc0ffee'::bytea)),
         ('create_tenant_key with a wrong KEK', pg_catalog.encode(tests.kek(2), 'hex'),
            pg_catalog.format(
            'select integrations.create_tenant_key(%L, %L)', 'kek-1', tests.kek(2)))
) as v (what, secret, statement);
select isnt(tests.error_of(v.statement), null, 'there is an error of ' || v.what)
from (
  values ('unlock with a short KEK', pg_catalog.format(
            'select integrations.unlock(%L, %L)', 'kek-1', '\xc0ffee'::bytea))
) as v (what, statement);
select tests.unchanged('none of it has changed anything');

-- The package's own objects cannot be shadowed or replaced either.
select throws_ok(q, '42501', null, 'the service is refused: ' || q)
from pg_catalog.unnest(array[
       'create function integrations.f(uuid) returns jsonb language sql return null',
       'create schema mine',
       'alter function integrations.current_tenant() immutable',
       'drop policy tenant_all on integrations.integration_instances',
       'alter table integrations.integration_instances disable row level security',
       'alter table integrations_private.audit_log disable trigger all',
       'grant select on integrations.integration_instances to public',
       'set local session_replication_role = replica'
     ]) as q;

select * from finish();
rollback;
