-- What the documents tell of a database, as rows of a kind and a JSON object. Nothing depends on
-- OIDs, the version of the server, or who asks: the same plan gives the same rows on each. So NOT
-- NULL is told of columns only (18 has constraints of it), MAINTAIN is left out (new in 17), and no
-- query text is (each version words it otherwise). Every ordinary role may read all of it.
--
-- To be run with search_path = pg_catalog, so that definitions name every other schema.
with
namespace as (
    select n.oid, n.nspname, n.nspowner, n.nspacl
      from pg_namespace as n
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
       and n.nspname <> all (%(ignored)s)
       and (%(schemas)s::text[] is null or n.nspname = any (%(schemas)s))
       and not exists (select from pg_depend as d where d.classid = 'pg_namespace'::regclass
                          and d.objid = n.oid and d.deptype = 'e')
),
-- Objects of extensions are the extension's affair.
extension_member as (
    select classid, objid from pg_depend where deptype = 'e'
),
-- Who deployed has another name on each server.
role as (
    select oid, case when rolname = %(deployer)s then %(who_deploys)s else rolname::text end as name
      from pg_roles
     union all
    select 0::oid, 'PUBLIC'
),
relation as (
    select c.*, n.nspname
      from pg_class as c join namespace as n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f')
       and (('pg_class'::regclass)::oid, c.oid) not in (table extension_member)
),
routine as (
    select p.*, n.nspname
      from pg_proc as p join namespace as n on n.oid = p.pronamespace
     where (('pg_proc'::regclass)::oid, p.oid) not in (table extension_member)
       -- The constructors of a range type come with it.
       and not exists (select from pg_depend as d
                        where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'i')
),
-- Who may do what with an object; an empty list of privileges means those that are built in.
privilege (classid, oid, subid, grantee, privilege, grantable) as (
    select o.classid, o.oid, o.subid, r.name, lower(a.privilege_type), bool_or(a.is_grantable)
      from (select 'pg_namespace'::regclass, oid, 0, nspowner, coalesce(nspacl, acldefault('n', nspowner)) from namespace
             union all
            select 'pg_class'::regclass, oid, 0, relowner, coalesce(relacl, acldefault('r', relowner)) from relation
             union all
            select 'pg_class'::regclass, a.attrelid, a.attnum, c.relowner, a.attacl
              from pg_attribute as a join relation as c on c.oid = a.attrelid
             where a.attnum > 0 and not a.attisdropped
             union all
            select 'pg_proc'::regclass, oid, 0, proowner, coalesce(proacl, acldefault('f', proowner)) from routine
           ) as o (classid, oid, subid, owner, acl),
           aclexplode(o.acl) as a join role as r on r.oid = a.grantee
     where a.grantee <> o.owner and a.privilege_type <> 'MAINTAIN'
     group by o.classid, o.oid, o.subid, r.name, a.privilege_type
),
granted as (
    select classid, oid, subid,
           jsonb_agg(jsonb_build_object('role', grantee, 'privilege', privilege, 'grantable', grantable)) as grants
      from privilege group by classid, oid, subid
)
select 'schema' as kind, jsonb_build_object(
         'name', n.nspname, 'ident', quote_ident(n.nspname), 'owner', r.name,
         'comment', obj_description(n.oid, 'pg_namespace'), 'grants', coalesce(g.grants, '[]')) as it
  from namespace as n join role as r on r.oid = n.nspowner
  left join granted as g on g.classid = 'pg_namespace'::regclass and g.oid = n.oid
union all
select 'relation', jsonb_build_object(
         'schema', c.nspname, 'name', c.relname, 'owner', r.name,
         'comment', obj_description(c.oid, 'pg_class'), 'grants', coalesce(g.grants, '[]'),
         'kind', case c.relkind when 'v' then 'view' when 'm' then 'materialized view'
                                when 'f' then 'foreign table' else 'table' end,
         'row_security', c.relrowsecurity, 'forced', c.relforcerowsecurity,
         'unlogged', c.relpersistence = 'u',
         'security_invoker', coalesce('security_invoker=true' = any (c.reloptions)
                                      or 'security_invoker=on' = any (c.reloptions), false),
         'partitioned_by', case when c.relkind = 'p' then pg_get_partkeydef(c.oid) end,
         'partition_of', case when c.relispartition then
            (select jsonb_build_array(pn.nspname, pc.relname) from pg_inherits as h
               join pg_class as pc on pc.oid = h.inhparent join pg_namespace as pn on pn.oid = pc.relnamespace
              where h.inhrelid = c.oid) end,
         'bound', case when c.relispartition then pg_get_expr(c.relpartbound, c.oid) end,
         'inherits', case when c.relispartition then '[]' else coalesce(
            (select jsonb_agg(format('%%s.%%s', pn.nspname, pc.relname) order by h.inhseqno) from pg_inherits as h
               join pg_class as pc on pc.oid = h.inhparent join pg_namespace as pn on pn.oid = pc.relnamespace
              where h.inhrelid = c.oid), '[]') end)
  from relation as c join role as r on r.oid = c.relowner
  left join granted as g on g.classid = 'pg_class'::regclass and g.oid = c.oid and g.subid = 0
union all
select 'column', jsonb_build_object(
         'schema', c.nspname, 'relation', c.relname, 'name', a.attname, 'position', a.attnum,
         'type', format_type(a.atttypid, a.atttypmod), 'required', a.attnotnull,
         'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid, true) end,
         'generated', case when a.attgenerated <> '' then pg_get_expr(d.adbin, d.adrelid, true) end,
         'identity', case a.attidentity when 'a' then 'always' when 'd' then 'by default' end,
         'comment', col_description(a.attrelid, a.attnum), 'grants', coalesce(g.grants, '[]'))
  from relation as c join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum
  left join granted as g on g.classid = 'pg_class'::regclass and g.oid = c.oid and g.subid = a.attnum
union all
select 'constraint', jsonb_build_object(
         'schema', c.nspname, 'relation', c.relname, 'name', k.conname, 'type', k.contype,
         'definition', pg_get_constraintdef(k.oid, true), 'comment', obj_description(k.oid, 'pg_constraint'),
         'inherited', not k.conislocal,
         'columns', coalesce((select jsonb_agg(a.attname order by o.place) from unnest(k.conkey) with ordinality as o (attnum, place)
                                join pg_attribute as a on a.attrelid = k.conrelid and a.attnum = o.attnum), '[]'),
         'referenced', (select jsonb_build_array(n.nspname, f.relname) from pg_class as f
                          join pg_namespace as n on n.oid = f.relnamespace where f.oid = k.confrelid),
         'referenced_columns', coalesce((select jsonb_agg(a.attname order by o.place) from unnest(k.confkey) with ordinality as o (attnum, place)
                                join pg_attribute as a on a.attrelid = k.confrelid and a.attnum = o.attnum), '[]'))
  from relation as c join pg_constraint as k on k.conrelid = c.oid
  left join pg_constraint as parent on parent.oid = k.conparentid
 where k.contype in ('p', 'u', 'f', 'c', 'x')
   -- A foreign key to a partitioned table has a part for each of that table's partitions.
   and (parent.oid is null or parent.conrelid <> k.conrelid)
union all
select 'index', jsonb_build_object(
         'schema', c.nspname, 'relation', c.relname, 'name', x.relname,
         -- What precedes it is the name and the table.
         'definition', substr(d.text, strpos(d.text, format(' USING %%I (', m.amname)) + 7),
         'unique', i.indisunique, 'valid', i.indisvalid, 'comment', obj_description(x.oid, 'pg_class'),
         'constraint', (select k.conname from pg_constraint as k where k.conindid = x.oid and k.contype in ('p', 'u', 'x') limit 1),
         'parent', (select p.relname from pg_inherits as h join pg_class as p on p.oid = h.inhparent where h.inhrelid = x.oid),
         -- Those that a unique index holds, of all rows.
         'columns', case when i.indpred is null and i.indexprs is null then
            (select jsonb_agg(a.attname) from unnest(i.indkey[0:i.indnkeyatts - 1]) as o (attnum)
               join pg_attribute as a on a.attrelid = i.indrelid and a.attnum = o.attnum) end)
  from relation as c join pg_index as i on i.indrelid = c.oid join pg_class as x on x.oid = i.indexrelid
  join pg_am as m on m.oid = x.relam, pg_get_indexdef(i.indexrelid, 0, true) as d (text)
union all
select 'trigger', jsonb_build_object(
         'schema', c.nspname, 'relation', c.relname, 'name', t.tgname,
         'timing', case when t.tgtype & 2 <> 0 then 'before' when t.tgtype & 64 <> 0 then 'instead of' else 'after' end,
         'events', array_remove(array[case when t.tgtype & 4 <> 0 then 'insert' end, case when t.tgtype & 8 <> 0 then 'delete' end,
                                      case when t.tgtype & 16 <> 0 then 'update' end, case when t.tgtype & 32 <> 0 then 'truncate' end], null),
         'update_of', coalesce((select jsonb_agg(a.attname order by o.place) from unnest(t.tgattr) with ordinality as o (attnum, place)
                                  join pg_attribute as a on a.attrelid = t.tgrelid and a.attnum = o.attnum), '[]'),
         'each', case when t.tgtype & 1 <> 0 then 'row' else 'statement' end,
         'condition', substring(pg_get_triggerdef(t.oid, true) from ' WHEN \((.*)\) EXECUTE FUNCTION '),
         'enabled', case t.tgenabled when 'O' then 'yes' when 'A' then 'always' when 'D' then 'disabled' else 'on replicas only' end,
         'function_schema', n.nspname, 'function', p.proname, 'inherited', t.tgparentid <> 0,
         'comment', obj_description(t.oid, 'pg_trigger'))
  from relation as c join pg_trigger as t on t.tgrelid = c.oid and not t.tgisinternal
  join pg_proc as p on p.oid = t.tgfoid join pg_namespace as n on n.oid = p.pronamespace
union all
select 'policy', jsonb_build_object(
         'schema', c.nspname, 'relation', c.relname, 'name', y.polname, 'permissive', y.polpermissive,
         'command', case y.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
         'roles', (select jsonb_agg(r.name) from role as r where r.oid = any (y.polroles)),
         'using', pg_get_expr(y.polqual, y.polrelid, true), 'check', pg_get_expr(y.polwithcheck, y.polrelid, true),
         'comment', obj_description(y.oid, 'pg_policy'))
  from relation as c join pg_policy as y on y.polrelid = c.oid
union all
select 'function', jsonb_build_object(
         'schema', p.nspname, 'name', p.proname, 'owner', r.name, 'identity', pg_get_function_identity_arguments(p.oid),
         'kind', case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' when 'w' then 'window function' else 'function' end,
         'arguments', coalesce((select jsonb_agg(jsonb_build_object(
              'name', coalesce(p.proargnames[o.place], ''), 'mode', coalesce(p.proargmodes[o.place], 'i'), 'type', format_type(o.type, null),
              'default', pg_get_function_arg_default(p.oid, o.place::integer)) order by o.place)
            from unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality as o (type, place)), '[]'),
         'returns', case when p.prorettype <> 0 then format_type(p.prorettype, null) end, 'set', p.proretset,
         'language', l.lanname, 'definer', p.prosecdef, 'strict', p.proisstrict,
         'volatility', case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end,
         'source', case when l.lanname = 'plpgsql' then p.prosrc end,
         'comment', obj_description(p.oid, 'pg_proc'), 'grants', coalesce(g.grants, '[]'))
  from routine as p join role as r on r.oid = p.proowner join pg_language as l on l.oid = p.prolang
  left join granted as g on g.classid = 'pg_proc'::regclass and g.oid = p.oid
union all
select 'type', jsonb_build_object(
         'schema', n.nspname, 'name', t.typname, 'comment', coalesce(obj_description(t.oid, 'pg_type'), obj_description(t.typrelid, 'pg_class')),
         'kind', case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'r' then 'range' else 'composite' end,
         'labels', coalesce((select jsonb_agg(e.enumlabel order by e.enumsortorder) from pg_enum as e where e.enumtypid = t.oid), '[]'),
         'base', case t.typtype when 'd' then format_type(t.typbasetype, t.typtypmod)
                                when 'r' then (select format_type(g.rngsubtype, null) from pg_range as g where g.rngtypid = t.oid) end,
         'required', t.typnotnull, 'default', case t.typtype when 'd' then pg_get_expr(t.typdefaultbin, 0, true) end,
         'checks', coalesce((select jsonb_agg(pg_get_constraintdef(k.oid, true) order by k.conname) from pg_constraint as k
                              where k.contypid = t.oid and k.contype = 'c'), '[]'),
         'attributes', coalesce((select jsonb_agg(jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod)) order by a.attnum)
                                   from pg_attribute as a where t.typtype = 'c' and a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped), '[]'))
  from pg_type as t join namespace as n on n.oid = t.typnamespace
  left join pg_class as c on c.oid = t.typrelid
 where (t.typtype in ('e', 'd', 'r') or t.typtype = 'c' and c.relkind = 'c')
   and (('pg_type'::regclass)::oid, t.oid) not in (table extension_member)
   and (t.typtype <> 'c' or (('pg_class'::regclass)::oid, t.typrelid) not in (table extension_member))
union all
-- Roles that own something here, may do something, or are named by a policy: not logins of people.
select 'role', jsonb_build_object(
         'name', r.name, 'comment', regexp_replace(shobj_description(x.oid, 'pg_authid'), %(role_mark)s, ''), 'login', x.rolcanlogin,
         'powers', array_remove(array[case when x.rolsuper then 'superuser' end, case when x.rolbypassrls then 'bypassrls' end,
                                      case when x.rolcreaterole then 'createrole' end, case when x.rolcreatedb then 'createdb' end,
                                      case when x.rolreplication then 'replication' end], null),
         'member_of', coalesce((select jsonb_agg(distinct g.name) from pg_auth_members as m join role as g on g.oid = m.roleid
                                 where m.member = x.oid), '[]'))
  from role as r join pg_roles as x on x.oid = r.oid
 where x.rolname is distinct from %(deployer)s and x.rolname !~ '^pg_'
   and (x.oid in (select nspowner from namespace union all select relowner from relation union all select proowner from routine)
        or r.name in (select grantee from privilege)
        or exists (select from pg_policy as y join relation as c on c.oid = y.polrelid where x.oid = any (y.polroles)))
