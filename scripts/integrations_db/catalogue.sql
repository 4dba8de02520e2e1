-- What a database is made of, as rows that can be compared with those of another: for each object
-- its kind, name, the relation that it is a part of, and its properties. Nothing depends on OIDs.
-- Left out: what belongs to the system or to an extension, and the schemas of %(ignored)s.
--
-- What may hold a secret (options of servers, settings that are not PostgreSQL's own) is shown as a
-- digest: enough to tell that it differs.
--
-- The role that asks is shown as one and the same in every database, because what a plan leaves to
-- "whoever deploys" may be deployed by anybody. To be run with search_path = pg_catalog, so that
-- definitions name every schema.
with
-- Objects of extensions: they are the extension's affair.
extension_member as (
    select classid, objid from pg_depend where deptype = 'e'
),
namespace as (
    select n.oid, n.nspname, quote_ident(n.nspname) as name, n.nspowner, n.nspacl
      from pg_namespace as n
     where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
       and n.nspname <> all (%(ignored)s)
       and (('pg_namespace'::regclass)::oid, n.oid) not in (table extension_member)
),
role as (
    select r.oid, case when r.rolname = current_user then '(who deploys)'
                       else quote_ident(r.rolname) end as name
      from pg_roles as r
     union all
    select 0::oid, 'PUBLIC'
),
setting as (
    select s.setdatabase, s.setrole, split_part(c.entry, '=', 1) as name,
           case when split_part(c.entry, '=', 1) like '%%.%%' then md5(c.entry)
                else substr(c.entry, strpos(c.entry, '=') + 1) end as value
      from pg_db_role_setting as s, unnest(s.setconfig) as c (entry)
),
relation as (
    select c.*, format('%%s.%%I', n.name, c.relname) as name,
           case c.relkind
             when 'r' then 'table' when 'p' then 'table' when 'v' then 'view'
             when 'm' then 'materialized view' when 'f' then 'foreign table'
             when 'S' then 'sequence' when 'c' then 'composite type'
           end as kind
      from pg_class as c join namespace as n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
       and (('pg_class'::regclass)::oid, c.oid) not in (table extension_member)
),
routine as (
    select p.*, format('%%s.%%I(%%s)', n.name, p.proname, pg_get_function_identity_arguments(p.oid)) as name,
           case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end as kind
      from pg_proc as p join namespace as n on n.oid = p.pronamespace
     where (('pg_proc'::regclass)::oid, p.oid) not in (table extension_member)
),
own_type as (
    select t.*, format('%%s.%%I', n.name, t.typname) as name,
           case t.typtype when 'd' then 'domain' else 'type' end as kind
      from pg_type as t join namespace as n on n.oid = t.typnamespace
     where t.typtype in ('b', 'd', 'e', 'r') and t.typcategory <> 'A'
       and (('pg_type'::regclass)::oid, t.oid) not in (table extension_member)
),
index_of as (
    select i.*, c.relname, c.reltablespace, r.name as relation, format('%%s.%%I', n.name, c.relname) as name,
           (select format('%%s.%%I', pn.nspname, pc.relname)
              from pg_inherits as h join pg_class as pc on pc.oid = h.inhparent
              join pg_namespace as pn on pn.oid = pc.relnamespace
             where h.inhrelid = i.indexrelid) as parent
      from pg_index as i
      join pg_class as c on c.oid = i.indexrelid
      join relation as r on r.oid = i.indrelid
      join namespace as n on n.oid = c.relnamespace
),
-- Everything that has an owner, privileges or a comment.
object (classid, oid, subid, kind, name, part_of, owner, acl, acl_kind) as (
    select 'pg_namespace'::regclass, oid, 0, 'schema', name, null::text, nspowner, nspacl, 'n'::"char"
      from namespace
     union all
    select 'pg_class'::regclass, c.oid, 0, c.kind, c.name, o.name, c.relowner, c.relacl,
           case c.relkind when 'S' then 's' when 'c' then null else 'r' end::"char"
      from relation as c
      left join (pg_depend as d join relation as o on o.oid = d.refobjid)
        on c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.objid = c.oid
       and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
     union all
    select 'pg_class'::regclass, a.attrelid, a.attnum, 'column', format('%%s.%%I', r.name, a.attname), r.name,
           null, a.attacl, null
      from pg_attribute as a join relation as r on r.oid = a.attrelid
     where a.attnum > 0 and not a.attisdropped and r.relkind <> 'S'
     union all
    select 'pg_class'::regclass, indexrelid, 0, 'index', name, relation, null, null, null
      from index_of where parent is null
     union all
    select 'pg_proc'::regclass, oid, 0, kind, name, null, proowner, proacl, 'f' from routine
     union all
    select 'pg_type'::regclass, oid, 0, kind, name, null, typowner, typacl, 'T' from own_type
     union all
    select 'pg_constraint'::regclass, c.oid, 0, 'constraint',
           format('%%I on %%s', c.conname, coalesce(r.name, t.name)), coalesce(r.name, t.name), null, null, null
      from pg_constraint as c left join relation as r on r.oid = c.conrelid
      left join own_type as t on t.oid = c.contypid
     where coalesce(r.name, t.name) is not null and c.conparentid = 0 and c.contype not in ('t', 'n')
     union all
    select 'pg_trigger'::regclass, t.oid, 0, 'trigger', format('%%I on %%s', t.tgname, r.name), r.name, null, null, null
      from pg_trigger as t join relation as r on r.oid = t.tgrelid
     where not t.tgisinternal and t.tgparentid = 0
     union all
    select 'pg_rewrite'::regclass, w.oid, 0, 'rule', format('%%I on %%s', w.rulename, r.name), r.name, null, null, null
      from pg_rewrite as w join relation as r on r.oid = w.ev_class where w.rulename <> '_RETURN'
     union all
    select 'pg_policy'::regclass, p.oid, 0, 'policy', format('%%I on %%s', p.polname, r.name), r.name, null, null, null
      from pg_policy as p join relation as r on r.oid = p.polrelid
     union all
    select 'pg_statistic_ext'::regclass, s.oid, 0, 'statistics', format('%%s.%%I', n.name, s.stxname), r.name,
           s.stxowner, null, null
      from pg_statistic_ext as s join namespace as n on n.oid = s.stxnamespace
      join relation as r on r.oid = s.stxrelid
     union all
    select 'pg_extension'::regclass, oid, 0, 'extension', quote_ident(extname), null, extowner, null, null
      from pg_extension where extname <> 'plpgsql'
     union all
    select 'pg_event_trigger'::regclass, oid, 0, 'event trigger', quote_ident(evtname), null, evtowner, null, null
      from pg_event_trigger
     where (('pg_event_trigger'::regclass)::oid, oid) not in (table extension_member)
     union all
    select 'pg_publication'::regclass, oid, 0, 'publication', quote_ident(pubname), null, pubowner, null, null
      from pg_publication
     union all
    select 'pg_foreign_data_wrapper'::regclass, oid, 0, 'foreign-data wrapper', quote_ident(fdwname), null,
           fdwowner, fdwacl, 'F'
      from pg_foreign_data_wrapper
     where (('pg_foreign_data_wrapper'::regclass)::oid, oid) not in (table extension_member)
     union all
    select 'pg_foreign_server'::regclass, oid, 0, 'server', quote_ident(srvname), null, srvowner, srvacl, 'S'
      from pg_foreign_server
     where (('pg_foreign_server'::regclass)::oid, oid) not in (table extension_member)
     union all
    select 'pg_language'::regclass, oid, 0, 'language', quote_ident(lanname), null, lanowner, lanacl, 'l'
      from pg_language where lanispl and lanname <> 'plpgsql'
       and (('pg_language'::regclass)::oid, oid) not in (table extension_member)
     union all
    select 'pg_operator'::regclass, o.oid, 0, 'operator', format('%%s.%%s(%%s, %%s)', n.name, o.oprname,
           case when o.oprleft = 0 then 'NONE' else format_type(o.oprleft, null) end, format_type(o.oprright, null)),
           null, o.oprowner, null, null
      from pg_operator as o join namespace as n on n.oid = o.oprnamespace
     where (('pg_operator'::regclass)::oid, o.oid) not in (table extension_member)
     union all
    select 'pg_opclass'::regclass, o.oid, 0, 'operator class',
           format('%%s.%%I using %%I', n.name, o.opcname, a.amname), null, o.opcowner, null, null
      from pg_opclass as o join namespace as n on n.oid = o.opcnamespace join pg_am as a on a.oid = o.opcmethod
     where (('pg_opclass'::regclass)::oid, o.oid) not in (table extension_member)
     union all
    select 'pg_collation'::regclass, c.oid, 0, 'collation', format('%%s.%%I', n.name, c.collname), null,
           c.collowner, null, null
      from pg_collation as c join namespace as n on n.oid = c.collnamespace
     where (('pg_collation'::regclass)::oid, c.oid) not in (table extension_member)
     union all
    select 'pg_ts_config'::regclass, c.oid, 0, 'text search configuration', format('%%s.%%I', n.name, c.cfgname), null,
           c.cfgowner, null, null
      from pg_ts_config as c join namespace as n on n.oid = c.cfgnamespace
     where (('pg_ts_config'::regclass)::oid, c.oid) not in (table extension_member)
     union all
    select 'pg_ts_dict'::regclass, d.oid, 0, 'text search dictionary', format('%%s.%%I', n.name, d.dictname), null,
           d.dictowner, null, null
      from pg_ts_dict as d join namespace as n on n.oid = d.dictnamespace
     where (('pg_ts_dict'::regclass)::oid, d.oid) not in (table extension_member)
     union all
    select 'pg_cast'::regclass, c.oid, 0, 'cast',
           format('(%%s as %%s)', format_type(c.castsource, null), format_type(c.casttarget, null)), null, null, null, null
      from pg_cast as c
     where c.oid >= 16384 and (('pg_cast'::regclass)::oid, c.oid) not in (table extension_member)
     union all
    select 'pg_database'::regclass, oid, 0, 'database', '(this one)', null, null, datacl, 'd'
      from pg_database where datname = current_database()
),
-- The privileges of an object whose list is empty are those by default; for columns: none.
privilege as (
    select o.kind, o.name, o.part_of, 'privileges of ' || g.name as property,
           string_agg(a.privilege_type || case when a.is_grantable then ' with grant option' else '' end, ', '
                      order by a.privilege_type) as value
      from object as o,
           aclexplode(case when o.acl_kind is null then o.acl
                           else coalesce(o.acl, acldefault(o.acl_kind, coalesce(o.owner, 10))) end) as a
      join role as g on g.oid = a.grantee
     -- What an owner may do is known, unless it was revoked; the owner of a database is not the plan's.
     where not (o.kind = 'database' and a.grantee in (select datdba from pg_database where datname = current_database()))
       -- New in 17, so that it cannot be compared with an older server.
       and (%(maintain)s or a.privilege_type <> 'MAINTAIN')
     group by o.kind, o.name, o.part_of, g.name
)
select kind, name, part_of, null::text as property, null::text as value from object
union all
select kind, name, part_of, property, value from privilege
union all
select o.kind, o.name, o.part_of, 'owner', r.name from object as o join role as r on r.oid = o.owner
union all
select o.kind, o.name, o.part_of, 'comment', d.description
  from object as o join pg_description as d
    on d.classoid = o.classid and d.objoid = o.oid and d.objsubid = o.subid
 where o.kind <> 'extension'
union all
select o.kind, o.name, o.part_of, 'security label of ' || l.provider, l.label
  from object as o join pg_seclabel as l
    on l.classoid = o.classid and l.objoid = o.oid and l.objsubid = o.subid
union all
-- Relations.
select r.kind, r.name, null, p.property, p.value
  from relation as r
  left join lateral (
       select string_agg(h.inhparent::regclass::text, ', ' order by h.inhseqno) as parents
         from pg_inherits as h where h.inhrelid = r.oid) as h on true,
  lateral (values
    ('partition of', case when r.relispartition then h.parents end),
    ('partition bound', pg_get_expr(r.relpartbound, r.oid)),
    ('inherits', case when not r.relispartition then h.parents end),
    ('partition key', case when r.relkind = 'p' then pg_get_partkeydef(r.oid) end),
    ('persistence', case when r.relkind in ('r', 'p', 'S', 'm')
                         then case r.relpersistence when 'p' then 'logged' when 'u' then 'unlogged' else 'temporary' end end),
    ('row-level security', case when r.relkind in ('r', 'p')
                                then case when r.relrowsecurity then 'enabled' else 'disabled' end
                                     || case when r.relforcerowsecurity then ', forced' else '' end end),
    ('replica identity', case when r.relkind in ('r', 'p') then r.relreplident::text end),
    ('options', array_to_string(r.reloptions, ', ')),
    ('access method', (select amname::text from pg_am where oid = r.relam)),
    ('tablespace', (select spcname::text from pg_tablespace where oid = r.reltablespace)),
    ('of type', case when r.reloftype <> 0 then format_type(r.reloftype, null) end),
    ('definition', case when r.relkind in ('v', 'm') and %(alike)s then pg_get_viewdef(r.oid) end)
  ) as p (property, value)
 where p.value is not null
union all
select 'sequence', r.name, null, p.property, p.value
  from relation as r join pg_sequence as s on s.seqrelid = r.oid,
  lateral (values
    ('type', format_type(s.seqtypid, null)),
    ('range', format('%%s to %%s, start %%s, increment %%s, cache %%s%%s', s.seqmin, s.seqmax, s.seqstart,
                     s.seqincrement, s.seqcache, case when s.seqcycle then ', cycle' else '' end)),
    ('owned by', (select format('%%s.%%I', d.refobjid::regclass, a.attname) from pg_depend as d
                    join pg_attribute as a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
                   where d.classid = 'pg_class'::regclass and d.objid = r.oid and d.deptype in ('a', 'i')))
  ) as p (property, value)
union all
select 'foreign table', r.name, null, p.property, p.value
  from relation as r join pg_foreign_table as f on f.ftrelid = r.oid
  join pg_foreign_server as s on s.oid = f.ftserver,
  lateral (values ('server', s.srvname::text), ('foreign options', array_to_string(f.ftoptions, ', '))) as p (property, value)
union all
select 'column', format('%%s.%%I', r.name, a.attname), r.name, p.property, p.value
  from relation as r join pg_attribute as a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef as d on d.adrelid = a.attrelid and d.adnum = a.attnum,
  lateral (values
    ('type', format_type(a.atttypid, a.atttypmod)),
    ('position', (select count(*)::text from pg_attribute as b where b.attrelid = a.attrelid
                     and b.attnum > 0 and b.attnum <= a.attnum and not b.attisdropped)),
    ('not null', case when a.attnotnull then 'yes' end),
    ('default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end),
    ('generated', case when a.attgenerated <> '' then a.attgenerated::text || ' ' || pg_get_expr(d.adbin, d.adrelid) end),
    ('identity', nullif(a.attidentity::text, '')),
    ('collation', (select format('%%I.%%I', n.nspname, c.collname) from pg_collation as c
                     join pg_namespace as n on n.oid = c.collnamespace join pg_type as t on t.oid = a.atttypid
                    where c.oid = a.attcollation and a.attcollation <> t.typcollation)),
    ('storage', (select a.attstorage::text from pg_type as t where t.oid = a.atttypid and t.typstorage <> a.attstorage)),
    ('compression', nullif(a.attcompression::text, '')),
    -- 17 writes null for what was -1.
    ('statistics target', (select x from nullif(to_jsonb(a) ->> 'attstattarget', '-1') as x)),
    -- Recent minor releases keep a number of their own there.
    ('options', (select string_agg(o, ', ') from unnest(a.attoptions) as o where o !~ '^pg_attver=')),
    ('foreign options', array_to_string(a.attfdwoptions, ', '))
  ) as p (property, value)
 where r.relkind <> 'S' and p.value is not null
union all
-- Parts of relations. Those of a partition that come from its parent are named after the parent's.
select 'index', case when i.parent is null then i.name else format('the part of %%s on %%s', i.parent, i.relation) end,
       i.relation, p.property, p.value
  from index_of as i,
  lateral (values
    ('definition', case when i.parent is null then pg_get_indexdef(i.indexrelid) end),
    ('state', concat_ws(', ', case when i.indisvalid then 'valid' else 'INVALID' end,
                        case when not i.indisready then 'not ready' end, case when not i.indislive then 'being dropped' end,
                        case when i.indisclustered then 'clustered' end, case when i.indisreplident then 'replica identity' end)),
    ('tablespace', (select spcname::text from pg_tablespace where oid = i.reltablespace))
  ) as p (property, value)
 where p.value is not null
union all
select 'constraint', case when c.conparentid <> 0 then format('the part of %%s on %%s', pc.conname, r.name)
                          when c.contype = 'n' and r.relispartition then format('not null %%I on %%s',
                               (select a.attname from pg_attribute as a where a.attrelid = c.conrelid and a.attnum = c.conkey[1]), r.name)
                          else format('%%I on %%s', c.conname, coalesce(r.name, t.name)) end,
       coalesce(r.name, t.name), p.property, p.value
  from pg_constraint as c left join relation as r on r.oid = c.conrelid
  left join own_type as t on t.oid = c.contypid left join pg_constraint as pc on pc.oid = c.conparentid,
  lateral (values
    ('definition', case when c.conparentid = 0 then pg_get_constraintdef(c.oid) end),
    ('state', concat_ws(', ', case when c.convalidated then 'valid' else 'NOT VALID' end,
                        case when to_jsonb(c) ->> 'conenforced' = 'false' then 'not enforced' end))
  ) as p (property, value)
 where coalesce(r.name, t.name) is not null and c.contype <> 't' and p.value is not null
   and (%(not_null)s or c.contype <> 'n')
union all
select 'trigger', format('%%I on %%s', t.tgname, r.name), r.name, p.property, p.value
  from pg_trigger as t join relation as r on r.oid = t.tgrelid,
  lateral (values
    ('definition', pg_get_triggerdef(t.oid)),
    ('enabled', case t.tgenabled when 'O' then 'yes' when 'D' then 'DISABLED' when 'A' then 'always' else 'on replicas only' end)
  ) as p (property, value)
 where not t.tgisinternal and t.tgparentid = 0
union all
select 'trigger', format('the part of %%I on %%s', t.tgname, r.name), r.name, 'enabled',
       case t.tgenabled when 'O' then 'yes' when 'D' then 'DISABLED' when 'A' then 'always' else 'on replicas only' end
  from pg_trigger as t join relation as r on r.oid = t.tgrelid
 where not t.tgisinternal and t.tgparentid <> 0
union all
select 'rule', format('%%I on %%s', w.rulename, r.name), r.name, p.property, p.value
  from pg_rewrite as w join relation as r on r.oid = w.ev_class,
  lateral (values ('definition', case when %(alike)s then pg_get_ruledef(w.oid) end), ('enabled', w.ev_enabled::text)) as p (property, value)
 where w.rulename <> '_RETURN' and p.value is not null
union all
select 'policy', format('%%I on %%s', y.polname, r.name), r.name, p.property, p.value
  from pg_policy as y join relation as r on r.oid = y.polrelid,
  lateral (values
    ('command', case y.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT' when 'w' then 'UPDATE' when 'd' then 'DELETE' else 'ALL' end),
    ('kind', case when y.polpermissive then 'permissive' else 'restrictive' end),
    ('roles', (select string_agg(g.name, ', ' order by g.name) from role as g where g.oid = any (y.polroles))),
    ('using', pg_get_expr(y.polqual, y.polrelid)),
    ('with check', pg_get_expr(y.polwithcheck, y.polrelid))
  ) as p (property, value)
 where p.value is not null
union all
select 'statistics', format('%%s.%%I', n.name, s.stxname), r.name, p.property, p.value
  from pg_statistic_ext as s join namespace as n on n.oid = s.stxnamespace join relation as r on r.oid = s.stxrelid,
  lateral (values ('definition', pg_get_statisticsobjdef(s.oid)),
                  ('statistics target', nullif(to_jsonb(s) ->> 'stxstattarget', '-1'))) as p (property, value)
 where p.value is not null
union all
-- Routines.
select f.kind, f.name, null, p.property, p.value
  from routine as f left join pg_aggregate as a on a.aggfnoid = f.oid,
  lateral (values
    ('arguments', pg_get_function_arguments(f.oid)),
    ('result', pg_get_function_result(f.oid)),
    ('language', (select lanname::text from pg_language where oid = f.prolang)),
    ('body', case when f.prokind = 'a' then null else coalesce(pg_get_function_sqlbody(f.oid), f.prosrc) end),
    ('library', f.probin),
    ('volatility', case f.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end),
    ('security', case when f.prosecdef then 'definer' else 'invoker' end),
    ('leakproof', case when f.proleakproof then 'yes' end),
    ('called on null', case when f.proisstrict then 'no' else 'yes' end),
    ('parallel', case f.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end),
    ('cost and rows', format('%%s, %%s', f.procost, f.prorows)),
    ('settings', array_to_string(f.proconfig, '; ')),
    ('window', case when f.prokind = 'w' then 'yes' end),
    ('aggregate', case when a.aggfnoid is not null then
       concat_ws(', ', a.aggkind, a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.agginitval, format_type(a.aggtranstype, null)) end)
  ) as p (property, value)
 where p.value is not null
union all
-- Types.
select t.kind, t.name, null, p.property, p.value
  from own_type as t left join pg_range as g on g.rngtypid = t.oid,
  lateral (values
    ('labels', (select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder)
                  from pg_enum as e where e.enumtypid = t.oid)),
    ('base type', case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end),
    ('not null', case when t.typtype = 'd' and t.typnotnull then 'yes' end),
    ('default', t.typdefault),
    ('subtype', case when g.rngtypid is not null then format_type(g.rngsubtype, null) end)
  ) as p (property, value)
 where p.value is not null
union all
-- Everything else.
select 'extension', quote_ident(e.extname), null, p.property, p.value
  from pg_extension as e,
  lateral (values ('version', e.extversion), ('schema', e.extnamespace::regnamespace::text)) as p (property, value)
 where e.extname <> 'plpgsql'
union all
select 'event trigger', quote_ident(evtname), null, 'definition',
       concat_ws(' ', evtevent, array_to_string(evttags, ', '), evtfoid::regprocedure, evtenabled)
  from pg_event_trigger
union all
select 'publication', quote_ident(b.pubname), null, p.property, p.value
  from pg_publication as b,
  lateral (values
    ('publishes', concat_ws(', ', case when b.pubinsert then 'insert' end, case when b.pubupdate then 'update' end,
                            case when b.pubdelete then 'delete' end, case when b.pubtruncate then 'truncate' end,
                            case when b.puballtables then 'all tables' end, case when b.pubviaroot then 'via root' end)),
    ('tables', (select string_agg(t.prrelid::regclass || coalesce(' where ' || pg_get_expr(t.prqual, t.prrelid), '')
                                  || coalesce(' ' || t.prattrs::text, ''), ', ' order by t.prrelid::regclass::text)
                  from pg_publication_rel as t where t.prpubid = b.oid)),
    ('schemas', (select string_agg(s.pnnspid::regnamespace::text, ', ' order by s.pnnspid::regnamespace::text)
                   from pg_publication_namespace as s where s.pnpubid = b.oid))
  ) as p (property, value)
 where p.value is not null
union all
select 'foreign-data wrapper', quote_ident(w.fdwname), null, 'definition',
       concat_ws(' ', nullif(w.fdwhandler, 0)::regproc, nullif(w.fdwvalidator, 0)::regproc,
                 (select string_agg(split_part(o, '=', 1) || '=' || md5(o), ', ') from unnest(w.fdwoptions) as o))
  from pg_foreign_data_wrapper as w
 where (('pg_foreign_data_wrapper'::regclass)::oid, w.oid) not in (table extension_member)
union all
select 'server', quote_ident(s.srvname), null, 'definition',
       concat_ws(' ', w.fdwname, s.srvtype, s.srvversion,
                 (select string_agg(split_part(o, '=', 1) || '=' || md5(o), ', ') from unnest(s.srvoptions) as o))
  from pg_foreign_server as s join pg_foreign_data_wrapper as w on w.oid = s.srvfdw
union all
-- Their options may hold passwords.
select 'user mapping', format('for %%s on %%I', r.name, s.srvname), null, null, null
  from pg_user_mappings as m join pg_foreign_server as s on s.oid = m.srvid join role as r on r.oid = m.umuser
union all
select 'operator', o.name, null, 'definition',
       concat_ws(', ', 'function ' || p.oprcode, 'returns ' || format_type(p.oprresult, null),
                 nullif(p.oprcom, 0)::regoperator, nullif(p.oprnegate, 0)::regoperator, nullif(p.oprrest, 0)::regproc,
                 nullif(p.oprjoin, 0)::regproc, case when p.oprcanmerge then 'merges' end, case when p.oprcanhash then 'hashes' end)
  from object as o join pg_operator as p on o.classid = 'pg_operator'::regclass and p.oid = o.oid
union all
select 'operator class', o.name, null, 'definition',
       format('for type %%s%%s', format_type(c.opcintype, null), case when c.opcdefault then ', default' else '' end)
  from object as o join pg_opclass as c on o.classid = 'pg_opclass'::regclass and c.oid = o.oid
union all
select 'collation', o.name, null, 'definition',
       concat_ws(', ', c.collprovider, c.collisdeterministic, c.collcollate, c.collctype,
                 to_jsonb(c) ->> 'colliculocale', to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'collicurules')
  from object as o join pg_collation as c on o.classid = 'pg_collation'::regclass and c.oid = o.oid
union all
select 'text search configuration', o.name, null, 'definition',
       (select string_agg(format('%%s: %%s', m.maptokentype, m.mapdict::regdictionary), ', '
                          order by m.maptokentype, m.mapseqno) from pg_ts_config_map as m where m.mapcfg = o.oid)
  from object as o where o.classid = 'pg_ts_config'::regclass
union all
select 'text search dictionary', o.name, null, 'definition', concat_ws(' ', t.tmplname, d.dictinitoption)
  from object as o join pg_ts_dict as d on o.classid = 'pg_ts_dict'::regclass and d.oid = o.oid
  join pg_ts_template as t on t.oid = d.dicttemplate
union all
select 'cast', o.name, null, 'definition',
       concat_ws(' ', c.castmethod, nullif(c.castfunc, 0)::regprocedure, c.castcontext)
  from object as o join pg_cast as c on o.classid = 'pg_cast'::regclass and c.oid = o.oid
union all
select 'default privileges', format('of %%s%%s for %%s', r.name, ' in schema ' || nullif(d.defaclnamespace, 0)::regnamespace,
         case d.defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
                              when 'T' then 'types' when 'n' then 'schemas' else 'large objects' end), null,
       'privileges of ' || g.name,
       string_agg(a.privilege_type || case when a.is_grantable then ' with grant option' else '' end, ', ' order by a.privilege_type)
  from pg_default_acl as d join role as r on r.oid = d.defaclrole, aclexplode(d.defaclacl) as a
  join role as g on g.oid = a.grantee
 where %(maintain)s or a.privilege_type <> 'MAINTAIN'
 group by r.name, d.defaclnamespace, d.defaclobjtype, g.name
union all
select 'database', '(this one)', null, 'setting ' || s.name || coalesce(' of ' || r.name, ''), s.value
  from setting as s
  left join role as r on r.oid = s.setrole and s.setrole <> 0
 where s.setdatabase = (select oid from pg_database where datname = current_database())
union all
-- Roles that own something here, may do something, or are named by a policy: not logins of applications.
select 'role', r.name, null, p.property, p.value
  from role as r join pg_roles as x on x.oid = r.oid,
  lateral (values
    ('attributes', concat_ws(', ', case when x.rolsuper then 'superuser' end, case when not x.rolinherit then 'noinherit' end,
                             case when x.rolcreaterole then 'createrole' end, case when x.rolcreatedb then 'createdb' end,
                             case when x.rolcanlogin then 'login' end, case when x.rolreplication then 'replication' end,
                             case when x.rolbypassrls then 'bypassrls' end)),
    -- More than one may have granted it.
    ('member of', (select string_agg(distinct g.name, ', ') from pg_auth_members as m
                     join role as g on g.oid = m.roleid where m.member = x.oid)),
    ('settings', (select string_agg(s.name || '=' || s.value, ', ' order by s.name)
                    from setting as s where s.setdatabase = 0 and s.setrole = x.oid)),
    ('comment', shobj_description(x.oid, 'pg_authid'))
  ) as p (property, value)
 where x.rolname <> current_user and x.rolname !~ '^pg_' and p.value is not null
   and (x.oid in (select owner from object where owner is not null)
        or 'privileges of ' || r.name in (select property from privilege)
        or exists (select from pg_policy as y where x.oid = any (y.polroles)))
order by 1, 2, 4 nulls first
