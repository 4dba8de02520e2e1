-- The whole of both schemas, by name: what is not listed here is not there.
begin;
select * from no_plan();

select tables_are(
  'integrations', array['integration_definitions', 'integration_instances']);
select tables_are(
  'integrations_private',
  array[
    'tenant_keys', 'key_encryption_keys', 'audit_log', 'audit_log_default', 'read_leases',
    'refresh_leases', 'compiled_schemas'
  ]);
select views_are('integrations', array['instance_overview', 'audit_trail', 'key_overview']);
select views_are('integrations_private', array[]::name[]);
select materialized_views_are(
  s, array[]::name[], s || ' has no materialized view: row-level security does not reach into one')
from pg_catalog.unnest(array['integrations', 'integrations_private']) as s;
select sequences_are(s, array[]::name[], s || ' has no sequence')
from pg_catalog.unnest(array['integrations', 'integrations_private']) as s;
select enums_are(
  'integrations', array['integration_definition_status', 'integration_instance_status']);
select enums_are('integrations_private', array['tenant_key_state']);
select is_empty(
  $$
    select t.oid::regtype
      from pg_catalog.pg_type as t
     where t.typnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       -- Row types of tables and views, arrays and enums are told of above.
       and t.typtype <> 'e'
       and t.typrelid = 0
       and t.typelem = 0
  $$,
  'there are no domains, ranges or free-standing composite types');
select functions_are(
  'integrations',
  array[
    'add_tenant_key', 'claim_refresh', 'complete_refresh', 'create_instance',
    'create_tenant_key', 'current_tenant', 'delete_instance', 'destroy_key', 'discard_draft',
    'doctor', 'fail_refresh', 'get_credentials', 'list_refresh_due', 'maintain_audit',
    'open_read_lease', 'put_credentials', 'read_with_lease', 'record_connection',
    'reencrypt_batch', 'register_definition', 'rename_instance', 'retire_key',
    'revoke_credentials', 'rewrap_keys', 'set_definition_status', 'set_instance_status',
    'set_tenant', 'unlock', 'unlock_key', 'update_config', 'upgrade_instance', 'wrapped_keys'
  ]);
select functions_are(
  'integrations_private',
  array[
    'add_audit_partition', 'add_to_keyring', 'bound_audit_default', 'check_config',
    'schema_violation', 'check_kek', 'check_name', 'compile_schema', 'credentials_expire_at',
    'credentials_subkey', 'data_key_check_value', 'decrypt_bytes', 'decrypt_text',
    'drop_audit_partition', 'encrypt_bytes', 'encrypt_text', 'envelope_key_id', 'evaluate_schema',
    'examine_connections', 'examine_data', 'examine_objects', 'examine_roles', 'examine_settings',
    'find_loop', 'find_reference', 'hmac', 'instance_may_move', 'items_are_unique',
    'kek_check_value', 'keyword_problem', 'list_audit_gaps', 'list_audit_partitions', 'list_keys', 'lock_active_key',
    'lock_audit_log', 'lock_instance', 'lock_refresh_lease', 'month_of', 'move_instance', 'numbers_are_short',
    'open_credentials', 'opened_key', 'parse_credentials', 'pointer_token', 'quarantine_reason',
    'random_bytes',
    'register_kek', 'require_tenant', 'require_usable', 'seal_credentials', 'stamp_last_used',
    'store_tenant_key', 'tg_audit_log__append_only', 'tg_integration_definitions__immutable',
    'translate_pattern', 'unwrap_key', 'wrapping_passphrase', 'write_audit'
  ]);
select is_empty(
  $$
    select p.proname
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
     group by p.pronamespace, p.proname
    having pg_catalog.count(*) > 1
  $$,
  'no function has overloads: callers use names, and a hostile overload would be a surprise');
select is_empty(
  $$
    select c.relname
      from pg_catalog.pg_class as c
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and c.relkind not in ('r', 'p', 'v', 'i', 'I')
  $$,
  'there are no relations of other kinds');
select set_eq(
  $$
    select c.relname::text || '.' || t.tgname
      from pg_catalog.pg_trigger as t
           join pg_catalog.pg_class as c on c.oid = t.tgrelid
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and not t.tgisinternal
  $$,
  array[
    'integration_definitions._100_immutable', 'integration_definitions._110_no_truncate',
    'audit_log._100_append_only', 'audit_log._110_no_truncate',
    'audit_log_default._100_append_only', 'audit_log_default._110_no_truncate'
  ],
  'the triggers are these');
select is_empty(
  $$
    select r.rulename
      from pg_catalog.pg_rewrite as r
           join pg_catalog.pg_class as c on c.oid = r.ev_class
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and r.rulename <> '_RETURN'
  $$,
  'there are no rules');
-- Operators, casts, collations, text search: whatever else can be in a schema.
select set_eq(
  $$
    select distinct d.classid::regclass::text
      from pg_catalog.pg_depend as d
     where d.refclassid = 'pg_catalog.pg_namespace'::regclass
       and d.refobjid in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  $$,
  array['pg_class', 'pg_proc', 'pg_type'],
  'both schemas hold relations, functions and types, and nothing else');
select is_empty(
  $$
    select p.oid::regprocedure
      from pg_catalog.pg_proc as p
     where p.pronamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and p.prokind <> 'f'
  $$,
  'there are no procedures, which could commit, nor aggregates');
select is_empty(
  $$
    select c.castsource::regtype, c.casttarget::regtype
      from pg_catalog.pg_cast as c
           join pg_catalog.pg_type as t on t.oid in (c.castsource, c.casttarget)
     where t.typnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  $$,
  'types are cast to others in no way of their own');
select is_empty(
  $$
    select p.pubname, p.schemaname, p.tablename
      from pg_catalog.pg_publication_tables as p
     where p.schemaname in ('integrations', 'integrations_private')
  $$,
  'no publication sends a table to where row-level security does not hold');
select is_empty('select evtname from pg_catalog.pg_event_trigger', 'there are no event triggers');

select * from finish();
rollback;
