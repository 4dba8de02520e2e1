-- What ANALYZE keeps outlives what it has read: revoked credentials, destroyed keys.
begin;
select * from no_plan();

select set_eq(
  $$
    select a.attrelid::regclass::text, a.attname::text
      from pg_catalog.pg_attribute as a
           join pg_catalog.pg_class as c on c.oid = a.attrelid
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
       and c.relkind in ('r', 'p')
       -- A new column of bytes is a new place for key material: it must be listed here.
       and (a.atttypid = 'bytea'::regtype or a.attname = 'credentials')
       and a.attnum > 0
  $$,
  $$
    values ('integrations.integration_instances', 'credentials'),
           ('integrations_private.tenant_keys', 'wrapped'),
           ('integrations_private.tenant_keys', 'check_value'),
           ('integrations_private.key_encryption_keys', 'check_value')
  $$,
  'these columns hold ciphertext, keys or proofs of keys');
select is(
  (select a.attstattarget::integer from pg_catalog.pg_attribute as a
    where a.attrelid = v.relation::regclass and a.attname = v.name),
  0, v.relation || '.' || v.name || ' has no statistics')
from (
  values ('integrations.integration_instances', 'credentials'),
         ('integrations_private.tenant_keys', 'wrapped'),
         ('integrations_private.tenant_keys', 'check_value')
) as v (relation, name);

-- Extended statistics keep values of several columns together, whatever the target of each is.
select is_empty(
  $$
    select s.stxrelid::regclass, s.stxname
      from pg_catalog.pg_statistic_ext as s
           join pg_catalog.pg_class as c on c.oid = s.stxrelid
     where c.relnamespace
           in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  $$,
  'there are no extended statistics');

do $$
begin
  perform tests.an_instance(tests.tenant_a(), 'crm ' || n, 'active')
     from pg_catalog.generate_series(1, 5) as n;
end
$$;
analyze integrations.integration_instances, integrations_private.tenant_keys;
select isnt_empty(
  $$
    select s.attname from pg_catalog.pg_stats as s
     where s.schemaname = 'integrations' and s.attname = 'name'
  $$,
  'ANALYZE has read the rows');
select is_empty(
  $$
    select s.tablename, s.attname
      from pg_catalog.pg_stats as s
     where (s.schemaname = 'integrations' and s.attname = 'credentials')
        or (s.schemaname = 'integrations_private' and s.tablename = 'tenant_keys'
            and s.attname in ('wrapped', 'check_value'))
  $$,
  'and has kept nothing of ciphertext and keys');

select * from finish();
rollback;
