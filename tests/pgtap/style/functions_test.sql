-- Rules for every function of both schemas.
begin;
select * from no_plan();

-- Six settings, each against an attack that was tried: a shadowing schema, row_security = off, and
-- four ways in which a caller's session prints the values that a function works with.
select is(
  (select pg_catalog.array_agg(s order by s) from pg_catalog.unnest(p.proconfig) as s),
  array[
    'debug_print_parse=off', 'debug_print_plan=off', 'debug_print_rewritten=off',
    'plpgsql.print_strict_params=off', 'row_security=on', 'search_path=pg_catalog, pg_temp'
  ],
  p.proname || ' runs with exactly these settings')
from pg_catalog.pg_proc as p
where p.pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and p.prosecdef
order by p.proname;

-- STABLE only where nothing is written: a STABLE function that inserts fails when it is called.
select set_eq(
  $$
    select p.proname::text, p.provolatile::text, p.proowner::regrole::text
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.prosecdef
  $$,
  $$
    values ('add_audit_partition', 'v', 'integrations_owner'),
           ('add_tenant_key', 'v', 'integrations_owner'),
           ('bound_audit_default', 'v', 'integrations_owner'),
           ('claim_refresh', 'v', 'integrations_owner'),
           ('complete_refresh', 'v', 'integrations_owner'),
           ('create_instance', 'v', 'integrations_owner'),
           ('create_tenant_key', 'v', 'integrations_owner'),
           ('delete_instance', 'v', 'integrations_owner'),
           ('destroy_key', 'v', 'integrations_keymaster'),
           ('discard_draft', 'v', 'integrations_owner'),
           ('doctor', 'v', 'integrations_keymaster'),
           ('drop_audit_partition', 'v', 'integrations_owner'),
           ('fail_refresh', 'v', 'integrations_owner'),
           ('get_credentials', 'v', 'integrations_owner'),
           ('list_keys', 'v', 'integrations_keymaster'),
           ('list_refresh_due', 'v', 'integrations_keymaster'),
           ('lock_audit_log', 'v', 'integrations_owner'),
           ('maintain_audit', 'v', 'integrations_keymaster'),
           ('open_read_lease', 'v', 'integrations_owner'),
           ('put_credentials', 'v', 'integrations_owner'),
           ('read_with_lease', 'v', 'integrations_owner'),
           ('record_connection', 'v', 'integrations_owner'),
           ('reencrypt_batch', 'v', 'integrations_owner'),
           ('register_definition', 'v', 'integrations_owner'),
           ('rename_instance', 'v', 'integrations_owner'),
           ('retire_key', 'v', 'integrations_keymaster'),
           ('revoke_credentials', 'v', 'integrations_owner'),
           ('rewrap_keys', 'v', 'integrations_keymaster'),
           ('set_definition_status', 'v', 'integrations_owner'),
           ('set_instance_status', 'v', 'integrations_owner'),
           ('unlock', 'v', 'integrations_owner'),
           ('unlock_key', 'v', 'integrations_owner'),
           ('update_config', 'v', 'integrations_owner'),
           ('upgrade_instance', 'v', 'integrations_owner'),
           ('wrapped_keys', 'v', 'integrations_owner')
  $$,
  'the definer functions are these, and those across tenants belong to the keymaster');

-- A search path is named first in pg_temp by PostgreSQL itself when it is not named at all.
select is(
  p.proconfig,
  array['search_path=pg_catalog, pg_temp']
    -- These read times and names that the catalogue writes as the session likes them.
    || case p.proname
         when 'list_audit_partitions' then array['TimeZone=UTC', 'DateStyle=ISO, YMD']
         when 'examine_objects' then array['quote_all_identifiers=off']
       end,
  p.proname || ' has a search path that nobody can write to')
from pg_catalog.pg_proc as p
     join pg_catalog.pg_language as l on l.oid = p.prolang
where p.pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and not p.prosecdef
  and l.lanname <> 'sql'
order by p.proname;

select isnt(
  p.prosqlbody, null, p.proname || ' is SQL that was parsed when it was made')
from pg_catalog.pg_proc as p
     join pg_catalog.pg_language as l on l.oid = p.prolang
where p.pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  and l.lanname = 'sql'
order by p.proname;

select set_eq(
  $$
    select distinct l.lanname::text
      from pg_catalog.pg_proc as p
           join pg_catalog.pg_language as l on l.oid = p.prolang
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  $$,
  array['plpgsql', 'sql'], 'there are no other languages');
select is_empty(
  $$
    select p.oid::regprocedure
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.proleakproof
  $$,
  'no function is leakproof');
select is_empty(
  $$
    select p.oid::regprocedure
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.proisstrict
  $$,
  'no function is strict: it would answer NULL with NULL instead of an error');
-- The plan of a prepared statement keeps the answer of an IMMUTABLE function: that of another
-- tenant, or another day.
select is_empty(
  $$
    select p.oid::regprocedure
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.provolatile = 'i'
       and pg_catalog.pg_get_functiondef(p.oid)
           ~* ('current_setting|set_config|current_tenant|require_tenant|opened_key'
               || '|now\(|timestamp|current_user|session_user|\mfrom\M\s+integrations')
  $$,
  'no immutable function reads a setting, a table or a clock');
select is_empty(
  $$
    select p.oid::regprocedure
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.proparallel <> 'u'
       and p.provolatile = 'v'
       and p.proname not in ('random_bytes', 'encrypt_text', 'encrypt_bytes')
  $$,
  'what writes is not parallel safe');
-- RAISE LOG also logs the statement: never where a secret is an argument.
select set_eq(
  $$
    select p.proname::text
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.prosrc ~* '\mraise\s+(log|debug|info|notice|warning)\M'
  $$,
  array['get_credentials', 'read_with_lease'],
  'only functions that take no secret write to the server''s log');
select set_eq(
  $$
    select p.proname::text
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       -- The statement, not the name of a privilege.
       and p.prosrc ~* '[^'']\mexecute\M'
  $$,
  array[
    'set_tenant', 'add_audit_partition', 'bound_audit_default', 'drop_audit_partition',
    'lock_audit_log'
  ],
  'only set_tenant and the care of partitions run text that was put together');

-- Parameters are called by name: they are the contract. Inner functions have theirs in their tests.
select set_eq(
  $$
    select p.proname::text, pg_catalog.pg_get_function_arguments(p.oid),
           pg_catalog.pg_get_function_result(p.oid)
      from pg_catalog.pg_proc as p
     where p.pronamespace = 'integrations'::regnamespace
  $$,
  $$
    values ('set_tenant', 'tenant_id uuid', 'void'),
           ('current_tenant', '', 'uuid'),
           ('register_definition',
            'name text, type text, version text, docs_url text DEFAULT NULL::text, '
            'description text DEFAULT NULL::text, '
            'credentials_schema jsonb DEFAULT ''{}''::jsonb, '
            'config_schema jsonb DEFAULT ''{}''::jsonb', 'uuid'),
           ('set_definition_status',
            'definition_id uuid, status integrations.integration_definition_status', 'void'),
           ('discard_draft', 'definition_id uuid', 'void'),
           ('create_instance',
            'integration_id uuid, name text, config jsonb DEFAULT ''{}''::jsonb', 'uuid'),
           ('update_config', 'instance_id uuid, config jsonb', 'void'),
           ('rename_instance', 'instance_id uuid, name text', 'void'),
           ('set_instance_status',
            'instance_id uuid, status integrations.integration_instance_status, '
            'reason text DEFAULT NULL::text', 'void'),
           ('delete_instance', 'instance_id uuid', 'void'),
           ('upgrade_instance', 'instance_id uuid, integration_id uuid', 'void'),
           ('unlock', 'kek_id text, kek bytea', 'integer'),
           ('put_credentials',
            'instance_id uuid, credentials text, '
            'expected_version integer DEFAULT NULL::integer', 'integer'),
           ('get_credentials', 'instance_id uuid', 'jsonb'),
           ('doctor', '', 'TABLE(check_name text, status text, detail text)'),
           ('maintain_audit', 'keep interval DEFAULT NULL::interval',
            'TABLE(action text, partition text)'),
           ('open_read_lease', 'instance_id uuid, reason text', 'uuid'),
           ('read_with_lease', 'lease uuid', 'jsonb'),
           ('revoke_credentials', 'instance_id uuid', 'void'),
           ('record_connection',
            'instance_id uuid, ok boolean, reason text DEFAULT NULL::text', 'void'),
           ('create_tenant_key', 'kek_id text, kek bytea', 'uuid'),
           ('claim_refresh',
            'instance_id uuid, holder text, ttl interval DEFAULT ''00:01:00''::interval', 'uuid'),
           ('complete_refresh', 'lease uuid, credentials text, expected_version integer',
            'integer'),
           ('fail_refresh',
            'lease uuid, reason text, retry_after interval DEFAULT ''00:05:00''::interval', 'void'),
           ('list_refresh_due', 'max_rows integer DEFAULT 100',
            'TABLE(tenant_id uuid, instance_id uuid, expires_at timestamp with time zone)'),
           ('add_tenant_key', 'kek_id text, data_key bytea, wrapped bytea', 'uuid'),
           ('unlock_key', 'key_id uuid, data_key bytea', 'void'),
           ('wrapped_keys', '',
            'TABLE(key_id uuid, kek_id text, state text, wrapped bytea)'),
           ('reencrypt_batch', 'max_rows integer DEFAULT 100',
            'TABLE(done integer, skipped integer, quarantined integer)'),
           ('rewrap_keys',
            'old_kek_id text, old_kek bytea, new_kek_id text, new_kek bytea, '
            'max_keys integer DEFAULT 1000', 'integer'),
           ('retire_key', 'key_id uuid', 'void'),
           ('destroy_key', 'key_id uuid, confirm text', 'void')
  $$,
  'the callable functions have these parameters and results');
select is_empty(
  $$
    select p.oid::regprocedure
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.pronargs > 0
       and (p.proargnames is null or '' = any (p.proargnames))
  $$,
  'every parameter has a name');

select * from finish();
rollback;
