-- Tests tables/integration_instances: its shape, and what it refuses from anybody.
begin;
select plan(51);

select columns_are(
  'integrations', 'integration_instances',
  array[
    'tenant_id', 'id', 'integration_id', 'name', 'status', 'status_reason', 'credentials',
    'credentials_version', 'credentials_key_id', 'credentials_expire_at', 'config',
    'last_used_at', 'last_connected_at', 'created_at', 'updated_at'
  ]);
select results_eq(
  $$
    select a.attname::text collate "default",
           pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
           case when a.attgenerated = '' then pg_catalog.pg_get_expr(d.adbin, d.adrelid) end
             collate "default"
      from pg_catalog.pg_attribute as a
           left join pg_catalog.pg_attrdef as d
             on d.adrelid = a.attrelid and d.adnum = a.attnum
     where a.attrelid = 'integrations.integration_instances'::regclass
       and a.attnum > 0
       and not a.attisdropped
     order by a.attnum
  $$,
  $$
    values ('tenant_id', 'uuid', true, null),
           ('id', 'uuid', true, 'gen_random_uuid()'),
           ('integration_id', 'uuid', true, null),
           ('name', 'character varying', true, null),
           ('status', 'integrations.integration_instance_status', true,
            '''pending''::integrations.integration_instance_status'),
           ('status_reason', 'text', false, null),
           ('credentials', 'jsonb', false, null),
           ('credentials_version', 'integer', true, '0'),
           ('credentials_key_id', 'uuid', false, null),
           ('credentials_expire_at', 'timestamp with time zone', false, null),
           ('config', 'jsonb', true, '''{}''::jsonb'),
           ('last_used_at', 'timestamp with time zone', false, null),
           ('last_connected_at', 'timestamp with time zone', false, null),
           ('created_at', 'timestamp with time zone', true, 'now()'),
           ('updated_at', 'timestamp with time zone', true, 'now()')
  $$,
  'its columns are in this order, of these types, with these defaults'
);
select table_owner_is(
  'integrations', 'integration_instances', 'integrations_owner', 'its owner');
select col_is_pk(
  'integrations', 'integration_instances', array['tenant_id', 'id'],
  'its primary key');
select col_is_unique(
  'integrations', 'integration_instances', array['tenant_id', 'name'],
  'its unique key');
select fk_ok(
  'integrations', 'integration_instances', 'integration_id',
  'integrations', 'integration_definitions', 'id');
select fk_ok(
  'integrations', 'integration_instances', array['tenant_id', 'credentials_key_id'],
  'integrations_private', 'tenant_keys', array['tenant_id', 'id']);
select indexes_are(
  'integrations', 'integration_instances',
  array[
    'integration_instances_pkey', 'integration_instances_tenant_id_name_key',
    'integration_instances_integration_id_idx',
    'integration_instances_tenant_id_credentials_key_id_idx',
    'integration_instances_tenant_id_created_at_idx',
    'integration_instances_credentials_expire_at_idx'
  ]);
select is(
  (select a.attgenerated::text from pg_catalog.pg_attribute as a
    where a.attrelid = 'integrations.integration_instances'::regclass
      and a.attname = 'credentials_key_id'),
  's', 'the key of the credentials is generated from the envelope');
select set_eq(
  $$
    -- Since PostgreSQL 18 NOT NULL is a constraint too.
    select c.conname::text
      from pg_catalog.pg_constraint as c
     where c.conrelid = 'integrations.integration_instances'::regclass
       and c.contype <> 'n'
  $$,
  array[
    'integration_instances_config_is_object',
    'integration_instances_credentials_is_envelope',
    'integration_instances_credentials_key_id_fkey',
    'integration_instances_credentials_version_is_count',
    'integration_instances_integration_id_fkey',
    'integration_instances_name_is_valid',
    'integration_instances_pkey',
    'integration_instances_revoked_has_no_credentials',
    'integration_instances_status_reason_is_short',
    'integration_instances_tenant_id_name_key'
  ],
  'its constraints are these'
);

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm', 'active');
  perform tests.an_instance(tests.tenant_b(), 'crm', 'active');
  perform tests.remember();
end
$$;

-- As superuser: these rules hold for everybody, and nothing else is in their way.
select tests.as_superuser();
select throws_ok(
  pg_catalog.format(
    'update integrations.integration_instances set %s where tenant_id = %L',
    v.assignment, tests.tenant_a()),
  v.sqlstate, null, 'the table refuses ' || v.what)
from (
  values ('a null tenant', 'tenant_id = null', '23502'),
         ('an unknown definition', 'integration_id = tests.nobody()', '23503'),
         ('a null name', 'name = null', '23502'),
         ('a blank name', $v$name = ' '$v$, '23514'),
         ('a name of 201 characters', $v$name = pg_catalog.repeat('a', 201)$v$, '23514'),
         ('a status that there is not', $v$status = 'gone'$v$, '22P02'),
         ('a reason of 1001 characters', $v$status_reason = pg_catalog.repeat('a', 1001)$v$,
          '23514'),
         ('a config that is an array', $v$config = '[]'$v$, '23514'),
         ('a config that is a JSON null', $v$config = 'null'$v$, '23514'),
         ('a null config', 'config = null', '23502'),
         ('a negative version', 'credentials_version = -1', '23514'),
         ('credentials of version 0', 'credentials_version = 0', '23514'),
         ('a revoked row with credentials', $v$status = 'revoked'$v$, '23514'),
         ('a revoked row with an expiry',
          $v$status = 'revoked', credentials = null, credentials_expire_at = 'now'$v$, '23514'),
         ('plaintext credentials', $v$credentials = '{"token": "t"}'$v$, '23514'),
         ('credentials that are an array', $v$credentials = '[]'$v$, '23514'),
         ('credentials that are a string', $v$credentials = '"secret"'$v$, '23514'),
         ('credentials that are a JSON null', $v$credentials = 'null'$v$, '23514'),
         ('an empty envelope', $v$credentials = '{}'$v$, '23514'),
         ('an envelope of another format', $v$credentials = credentials || '{"v": 2}'$v$, '23514'),
         ('a format that is a list', $v$credentials = credentials || '{"v": [1]}'$v$, '23514'),
         ('an envelope with plaintext beside', $v$credentials = credentials || '{"token": "t"}'$v$,
          '23514'),
         ('an envelope without MAC', $v$credentials = credentials - 'mac'$v$, '23514'),
         ('an envelope without ciphertext', $v$credentials = credentials - 'ct'$v$, '23514'),
         ('an envelope without version', $v$credentials = credentials - 'version'$v$, '23514'),
         ('an envelope without key', $v$credentials = credentials - 'key'$v$, '23514'),
         ('a ciphertext that is an object', $v$credentials = credentials || '{"ct": {"t": 1}}'$v$,
          '23514'),
         ('a MAC that is a list', $v$credentials = credentials || '{"mac": []}'$v$, '23514'),
         ('a version that is a string', $v$credentials = credentials || '{"version": "1"}'$v$,
          '23514'),
         ('a key that is no id', $v$credentials = credentials || '{"key": "k"}'$v$, '23514'),
         ('a key that is a number', $v$credentials = credentials || '{"key": 1}'$v$, '23514'),
         ('a ciphertext over 128 KiB',
          $v$credentials = credentials
               || pg_catalog.jsonb_build_object('ct', pg_catalog.repeat('A', 131073))$v$, '23514'),
         ('a key that is unknown',
          $v$credentials = credentials
               || pg_catalog.jsonb_build_object('key', tests.nobody())$v$, '23503'),
         ('a key of another tenant',
          $v$credentials = credentials || pg_catalog.jsonb_build_object(
               'key', (tests.active_key(tests.tenant_b())).id)$v$, '23503'),
         ('a move to another tenant, whose keys are not its own',
          'tenant_id = tests.tenant_b(), name = ''moved''', '23503')
) as v (what, assignment, sqlstate);
select throws_ok(
  $$ update integrations.integration_instances set credentials_key_id = tests.nobody() $$,
  '428C9', null, 'the key of the credentials cannot be written');
select tests.unchanged('all of it is as it was');

-- The same name for two tenants is there already; twice for one it is refused.
select throws_ok(
  $$
    insert into integrations.integration_instances (tenant_id, integration_id, name)
    values (tests.tenant_a(), tests.definition_id('Salesforce'), 'crm')
  $$,
  '23505', null, 'the table refuses a name twice for one tenant');
select throws_ok(
  'delete from integrations_private.tenant_keys', '23503', null,
  'a key that credentials need cannot be deleted');
select tests.unchanged('still as it was');

select * from finish();
rollback;
