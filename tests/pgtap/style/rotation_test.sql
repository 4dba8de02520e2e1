-- Whatever is encrypted can be encrypted anew: no column is out of the reach of rotation.
begin;
select * from no_plan();

-- Each column that can hold ciphertext or what proves a key, with the function that writes it anew
-- when its key changes, or why there is none.
create temporary table rotated (relation text, field text, function text) on commit drop;
insert into rotated
values ('integrations.integration_instances', 'credentials', 'integrations.reencrypt_batch'),
       ('integrations_private.tenant_keys', 'wrapped', 'integrations.rewrap_keys'),
       -- Of the data key and of the KEK themselves: they change with the row, never in it.
       ('integrations_private.tenant_keys', 'check_value', null),
       ('integrations_private.key_encryption_keys', 'check_value', null);

select set_eq(
  $$
    select a.attrelid::regclass::text, a.attname::text
      from pg_catalog.pg_attribute as a
           join pg_catalog.pg_class as c on c.oid = a.attrelid
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and c.relkind in ('r', 'p')
       and not c.relispartition
       and a.attnum > 0
       and not a.attisdropped
       and a.attgenerated = ''
       and (a.atttypid in ('bytea'::regtype, 'bytea[]'::regtype)
            -- From an envelope its key is generated, and a CHECK wants that key.
            or exists (select
                         from pg_catalog.pg_attrdef as d
                        where d.adrelid = c.oid
                          and pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                              ~ pg_catalog.format('envelope_key_id\(%s\)', a.attname)))
  $$,
  'select relation, field from pg_temp.rotated',
  'every column of bytes or envelopes is known to rotation');
select ok(
  exists (
    select
      from pg_catalog.pg_proc as p
     where p.oid = pg_catalog.to_regproc(r.function)
       and p.prosrc ~ pg_catalog.format('update %s as \w+\s+set [^;]*\m%s = ', r.relation, r.field)
  ),
  r.function || ' writes ' || r.relation || '.' || r.field)
from pg_temp.rotated as r
where r.function is not null;

-- Other columns of free form are plain, and say so here: a new one is a new place for a secret.
select set_eq(
  $$
    select a.attrelid::regclass::text, a.attname::text
      from pg_catalog.pg_attribute as a
           join pg_catalog.pg_class as c on c.oid = a.attrelid
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and c.relkind in ('r', 'p')
       and not c.relispartition
       and a.attnum > 0
       and not a.attisdropped
       and a.atttypid in ('jsonb'::regtype, 'json'::regtype)
       and (a.attrelid::regclass::text, a.attname::text) not in (
             select r.relation, r.field from pg_temp.rotated as r)
  $$,
  $$
    values ('integrations.integration_definitions', 'credentials_schema'),
           ('integrations.integration_definitions', 'config_schema'),
           ('integrations.integration_instances', 'config'),
           ('integrations_private.compiled_schemas', 'schema'),
           ('integrations_private.compiled_schemas', 'rules'),
           ('integrations_private.audit_log', 'detail')
  $$,
  'the other documents are plaintext');

-- What a key must never be retired under, while a row refers to it.
select isnt_empty(
  $$
    select
      from pg_catalog.pg_constraint as k
     where k.conrelid = 'integrations.integration_instances'::regclass
       and k.confrelid = 'integrations_private.tenant_keys'::regclass
       and k.contype = 'f'
  $$,
  'a row refers to its key');

select * from finish();
rollback;
