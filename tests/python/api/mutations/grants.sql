-- Grants on tables: each that is there, and some that must not be.
with a as (
  select c.oid::regclass as t, a.grantee::regrole as r, a.privilege_type as p, null::name as col
    from pg_class as c, aclexplode(c.relacl) as a
   where c.relkind in ('r', 'p') and a.grantee <> c.relowner and a.grantee <> 0
     and relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
  union all
  select c.oid::regclass, a.grantee::regrole, a.privilege_type, attname
    from pg_class as c join pg_attribute as t on t.attrelid = c.oid, aclexplode(t.attacl) as a
   where c.relkind in ('r', 'p')
     and relnamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
), g as (
  -- What a role has on a table that came later is a change of its own.
  select a.*, 'grants/' || r || case when t = 'integrations_private.refresh_leases'::regclass
                                     then '_002_refresh_leases' else '' end as change
    from a
)
select change, format('revoke %s %s on %s from %s', p, '(' || quote_ident(col) || ')', t, r)
  from g
union all
select change, format('grant %s %s on %s to %s with grant option', p, '(' || quote_ident(col) || ')',
                      t, r)
  from g
union all
select distinct change, format('grant %s on %s to %s', more, t, r) from g,
  unnest(array['insert', 'update', 'delete', 'truncate', 'references', 'trigger']) as more
 where not has_table_privilege(r, t, more)
union all
select distinct 'grants/' || r, format('grant select on integrations_private.key_encryption_keys to %s', r)
  from g where not has_table_privilege(r, 'integrations_private.key_encryption_keys', 'select')
union all
select change, format('grant update (%I) on %s to %s', col, t, r)
  from (select distinct g.change, g.r, g.t, a.attname as col from g join pg_attribute as a
          on a.attrelid = g.t and a.attnum > 0 and not a.attisdropped) as c
 where not has_column_privilege(r, t, col, 'update')
union all
select distinct change, format('grant select (credentials) on %s to %s', t, r)
  from g where t = 'integrations.integration_instances'::regclass
   and r <> 'svc_integration'::regrole
union all
select change, format('grant select (lease) on %s to %s', t, r)
  from (select distinct change, t, r from g) as c
 where t = 'integrations_private.refresh_leases'::regclass;
