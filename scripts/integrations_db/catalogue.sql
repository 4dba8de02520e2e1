-- What a database is made of, as rows that can be compared with those of another: for each object
-- its kind, name, the relation that it is a part of, and its properties. Nothing depends on OIDs.
-- Left out: what the system or an extension brought, as long as its owner and privileges are as they
-- came, and the schemas of %(ignored)s.
--
-- What may hold a secret (options of servers, settings that are not PostgreSQL's own) is a digest in
-- "(hidden ...)": enough to tell that it differs. Nobody is shown it: a weak secret could be guessed.
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
    select n.oid, n.nspname, quote_ident(n.nspname) as name, n.nspowner, n.nspacl,
           n.nspname in ('pg_catalog', 'information_schema')
             or (('pg_namespace'::regclass)::oid, n.oid) in (table extension_member) as brought,
           -- OIDs of what was put into the system's schemas begin there.
           case when n.nspname in ('pg_catalog', 'information_schema') then 16384 else 0 end::oid as first
      from pg_namespace as n
     where (n.nspname = 'pg_catalog' or n.nspname !~ '^pg_') and n.nspname <> all (%(ignored)s)
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
           case when split_part(c.entry, '=', 1) like '%%.%%' then '(hidden ' || md5(c.entry) || ')'
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
      from pg_class as c join namespace as n on n.oid = c.relnamespace and c.oid >= n.first
     where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S', 'c')
       and (('pg_class'::regclass)::oid, c.oid) not in (table extension_member)
),
routine as (
    select p.*, format('%%s.%%I(%%s)', n.name, p.proname, pg_get_function_identity_arguments(p.oid)) as name,
           case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end as kind,
           -- The constructors of a range type belong to the server's first superuser, whoever made it.
           exists (select from pg_depend as d where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                      and d.deptype = 'i') as constructor
      from pg_proc as p join namespace as n on n.oid = p.pronamespace and p.oid >= n.first
     where (('pg_proc'::regclass)::oid, p.oid) not in (table extension_member)
),
own_type as (
    select t.*, format('%%s.%%I', n.name, t.typname) as name,
           case t.typtype when 'd' then 'domain' else 'type' end as kind
      from pg_type as t join namespace as n on n.oid = t.typnamespace and t.oid >= n.first
     where (t.typtype in ('b', 'd', 'e', 'r') and t.typcategory <> 'A' or not t.typisdefined)
       and (('pg_type'::regclass)::oid, t.oid) not in (table extension_member)
),
index_of as (
    select i.*, c.relname, c.reltablespace, c.reloptions, r.name as relation, format('%%s.%%I', n.name, c.relname) as name,
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
      from namespace where not brought
     union all
    select 'pg_type'::regclass, t.oid, 0, c.kind, c.name, null, t.typowner, t.typacl, 'T'
      from relation as c join pg_type as t on t.oid = c.reltype where c.relkind = 'c'
     union all
    select 'pg_class'::regclass, c.oid, 0, c.kind, c.name, o.name, c.relowner, c.relacl,
           case c.relkind when 'S' then 's' else 'r' end::"char"
      from relation as c
      left join (pg_depend as d join relation as o on o.oid = d.refobjid)
        on c.relkind = 'S' and d.classid = 'pg_class'::regclass and d.objid = c.oid
       and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')
     where c.relkind <> 'c'
     union all
    select 'pg_class'::regclass, a.attrelid, a.attnum, 'column', format('%%s.%%I', r.name, a.attname), r.name,
           null, a.attacl, null
      from pg_attribute as a join relation as r on r.oid = a.attrelid
     where a.attnum > 0 and not a.attisdropped and r.relkind <> 'S'
     union all
    select 'pg_class'::regclass, indexrelid, 0, 'index', name, relation, null, null, null
      from index_of where parent is null
     union all
    select 'pg_proc'::regclass, oid, 0, kind, name, null, case when not constructor then proowner end, proacl,
           case when not constructor then 'f'::"char" end from routine
     union all
    select 'pg_type'::regclass, oid, 0, kind, name, null, typowner, typacl, 'T' from own_type
     union all
    select 'pg_constraint'::regclass, c.oid, 0, 'constraint',
           format('%%I on %%s', c.conname, coalesce(r.name, t.name)), coalesce(r.name, t.name), null, null, null
      from pg_constraint as c left join relation as r on r.oid = c.conrelid
      left join own_type as t on t.oid = c.contypid
     where coalesce(r.name, t.name) is not null and c.conparentid = 0 and c.contype <> 't'
       and (c.contype <> 'n' or %(not_null)s and r.relispartition is not true)
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
      from pg_extension where oid >= 16384
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
      from pg_language where oid >= 16384
       and (('pg_language'::regclass)::oid, oid) not in (table extension_member)
     union all
    select 'pg_operator'::regclass, o.oid, 0, 'operator', format('%%s.%%s(%%s, %%s)', n.name, o.oprname,
           case when o.oprleft = 0 then 'NONE' else format_type(o.oprleft, null) end, format_type(o.oprright, null)),
           null, o.oprowner, null, null
      from pg_operator as o join namespace as n on n.oid = o.oprnamespace and o.oid >= n.first
     where (('pg_operator'::regclass)::oid, o.oid) not in (table extension_member)
     union all
    select 'pg_opclass'::regclass, o.oid, 0, 'operator class',
           format('%%s.%%I using %%I', n.name, o.opcname, a.amname), null, o.opcowner, null, null
      from pg_opclass as o join namespace as n on n.oid = o.opcnamespace and o.oid >= n.first join pg_am as a on a.oid = o.opcmethod
     where (('pg_opclass'::regclass)::oid, o.oid) not in (table extension_member)
     union all
    select 'pg_opfamily'::regclass, f.oid, 0, 'operator family',
           format('%%s.%%I using %%I', n.name, f.opfname, a.amname), null, f.opfowner, null, null
      from pg_opfamily as f join namespace as n on n.oid = f.opfnamespace and f.oid >= n.first
      join pg_am as a on a.oid = f.opfmethod
     where (('pg_opfamily'::regclass)::oid, f.oid) not in (table extension_member)
     union all
    select 'pg_conversion'::regclass, c.oid, 0, 'conversion', format('%%s.%%I', n.name, c.conname), null,
           c.conowner, null, null
      from pg_conversion as c join namespace as n on n.oid = c.connamespace and c.oid >= n.first
     where (('pg_conversion'::regclass)::oid, c.oid) not in (table extension_member)
     union all
    select 'pg_am'::regclass, oid, 0, 'access method', quote_ident(amname), null, null, null, null
      from pg_am where oid >= 16384 and (('pg_am'::regclass)::oid, oid) not in (table extension_member)
     union all
    select 'pg_ts_parser'::regclass, p.oid, 0, 'text search parser', format('%%s.%%I', n.name, p.prsname), null,
           null, null, null
      from pg_ts_parser as p join namespace as n on n.oid = p.prsnamespace and p.oid >= n.first
     where (('pg_ts_parser'::regclass)::oid, p.oid) not in (table extension_member)
     union all
    select 'pg_ts_template'::regclass, t.oid, 0, 'text search template', format('%%s.%%I', n.name, t.tmplname), null,
           null, null, null
      from pg_ts_template as t join namespace as n on n.oid = t.tmplnamespace and t.oid >= n.first
     where (('pg_ts_template'::regclass)::oid, t.oid) not in (table extension_member)
     union all
    select 'pg_transform'::regclass, t.oid, 0, 'transform',
           format('for %%s language %%I', format_type(t.trftype, null), l.lanname), null, null, null, null
      from pg_transform as t join pg_language as l on l.oid = t.trflang
     where (('pg_transform'::regclass)::oid, t.oid) not in (table extension_member)
     union all
    select 'pg_subscription'::regclass, oid, 0, 'subscription', quote_ident(subname), null, subowner, null, null
      from pg_subscription where subdbid = (select oid from pg_database where datname = current_database())
     union all
    select 'pg_collation'::regclass, c.oid, 0, 'collation', format('%%s.%%I', n.name, c.collname), null,
           c.collowner, null, null
      from pg_collation as c join namespace as n on n.oid = c.collnamespace and c.oid >= n.first
     where (('pg_collation'::regclass)::oid, c.oid) not in (table extension_member)
     union all
    select 'pg_ts_config'::regclass, c.oid, 0, 'text search configuration', format('%%s.%%I', n.name, c.cfgname), null,
           c.cfgowner, null, null
      from pg_ts_config as c join namespace as n on n.oid = c.cfgnamespace and c.oid >= n.first
     where (('pg_ts_config'::regclass)::oid, c.oid) not in (table extension_member)
     union all
    select 'pg_ts_dict'::regclass, d.oid, 0, 'text search dictionary', format('%%s.%%I', n.name, d.dictname), null,
           d.dictowner, null, null
      from pg_ts_dict as d join namespace as n on n.oid = d.dictnamespace and d.oid >= n.first
     where (('pg_ts_dict'::regclass)::oid, d.oid) not in (table extension_member)
     union all
    select 'pg_cast'::regclass, c.oid, 0, 'cast',
           format('(%%s as %%s)', format_type(c.castsource, null), format_type(c.casttarget, null)), null, null, null, null
      from pg_cast as c
     where c.oid >= 16384 and (('pg_cast'::regclass)::oid, c.oid) not in (table extension_member)
     union all
    select 'pg_database'::regclass, oid, 0, 'database', '(this one)', null, null, coalesce(datacl, acldefault('d', datdba)), 'd'
      from pg_database where datname = current_database()
),
-- The privileges of an object whose list is empty are those by default; for columns: none.
privilege as (
    select o.kind, o.name, o.part_of, 'privileges of ' || g.name as property,
           -- By whom, if it is not the owner, and not who deploys: a superuser grants in the owner's name.
           string_agg(a.privilege_type || case when a.is_grantable then ' with grant option' else '' end
                      || case when a.grantor <> coalesce(o.owner, r.relowner) and b.name <> '(who deploys)'
                              then ' by ' || b.name else '' end,
                      ', ' order by a.privilege_type, b.name) as value
      from object as o left join relation as r on o.kind = 'column' and r.oid = o.oid,
           aclexplode(case when o.acl_kind is null then o.acl
                           else coalesce(o.acl, acldefault(o.acl_kind, o.owner)) end) as a
      join role as g on g.oid = a.grantee
      join role as b on b.oid = a.grantor
     -- What an owner may do is known, unless it was revoked. Who owns a database is not the plan's
     -- affair, and who deploys may own it or have been granted what that takes.
     where not (o.kind = 'database' and a.grantee in (select datdba from pg_database where datname = current_database()
                                                       union all
                                                      select oid from pg_roles where rolname = current_user))
       -- New in 17, so that it cannot be compared with an older server.
       and (%(maintain)s or a.privilege_type <> 'MAINTAIN')
     group by o.kind, o.name, o.part_of, g.name
),
-- What the system or an extension brought, and belongs to another or has other privileges since.
brought as (
    select case when m.objid is null then 'system ' else 'extension ' end || d.type as kind, d.identity as name,
           b.owner, coalesce(m.owner, 10) as first_owner,
           coalesce(b.acl, acldefault(b.acl_kind, b.owner)) as acl,
           coalesce(i.initprivs, acldefault(b.acl_kind, b.owner)) as first_acl
      from (select 'pg_class'::regclass, oid, 0, relowner, relacl, case relkind when 'S' then 's' else 'r' end::"char"
              from pg_class where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
             union all
            select 'pg_class'::regclass, attrelid, attnum, null, attacl, 'c' from pg_attribute where attacl is not null
             union all
            select 'pg_proc'::regclass, oid, 0, proowner, proacl, 'f' from pg_proc
             union all
            select 'pg_type'::regclass, oid, 0, typowner, typacl, 'T' from pg_type where typcategory <> 'A'
             union all
            select 'pg_namespace'::regclass, oid, 0, nspowner, nspacl, 'n' from pg_namespace
             where oid not in (select oid from namespace as n where not n.brought)
             union all
            select 'pg_language'::regclass, oid, 0, lanowner, lanacl, 'l' from pg_language
             union all
            select 'pg_foreign_data_wrapper'::regclass, oid, 0, fdwowner, fdwacl, 'F' from pg_foreign_data_wrapper
           ) as b (classid, oid, subid, owner, acl, acl_kind)
      left join pg_init_privs as i on i.classoid = b.classid and i.objoid = b.oid and i.objsubid = b.subid
      left join (select em.classid, em.objid, e.extowner as owner from pg_depend as em join pg_extension as e on e.oid = em.refobjid
                  where em.deptype = 'e') as m on m.classid = b.classid and m.objid = b.oid,
           pg_identify_object(b.classid, b.oid, b.subid) as d
     where (m.objid is not null or b.oid < 16384)
       and (b.acl is distinct from i.initprivs or b.owner not in (10, coalesce(m.owner, 10)))
)
select kind, name, part_of, null::text as property, null::text as value from object
union all
select kind, name, part_of, property, value from privilege
union all
select b.kind, b.name, null, p.property, p.value
  from brought as b,
  lateral (select 'owner', r.name from role as r where r.oid = b.owner and b.owner not in (10, b.first_owner)
            union all
           select 'change of privileges of ' || g.name,
                  string_agg(a.privilege_type || case when a.is_grantable then ' with grant option' else '' end || a.how,
                             ', ' order by a.privilege_type, a.how)
             from (select *, ' granted' from (select grantee, privilege_type, is_grantable from aclexplode(b.acl)
                                              except
                                              select grantee, privilege_type, is_grantable from aclexplode(b.first_acl)) as more
                    union all
                   select *, ' revoked' from (select grantee, privilege_type, is_grantable from aclexplode(b.first_acl)
                                              except
                                              select grantee, privilege_type, is_grantable from aclexplode(b.acl)) as less)
                  as a (grantee, privilege_type, is_grantable, how)
             join role as g on g.oid = a.grantee
            where %(maintain)s or a.privilege_type <> 'MAINTAIN'
            group by g.name) as p (property, value)
union all
select o.kind, o.name, o.part_of, 'owner', r.name from object as o join role as r on r.oid = o.owner
union all
select o.kind, o.name, o.part_of, 'comment', d.description
  from object as o join pg_description as d
    on d.classoid = o.classid and d.objoid = o.oid and d.objsubid = o.subid
 where o.kind <> 'extension' or %(alike)s
union all
select o.kind, o.name, o.part_of, 'depends on extension', string_agg(quote_ident(e.extname), ', ' order by e.extname)
  from object as o join pg_depend as d on d.classid = o.classid and d.objid = o.oid and d.objsubid = o.subid
  join pg_extension as e on d.refclassid = 'pg_extension'::regclass and e.oid = d.refobjid
 where d.deptype = 'x'
 group by o.kind, o.name, o.part_of
union all
select o.kind, o.name, o.part_of, 'security label of ' || l.provider, l.label
  from object as o join pg_seclabel as l
    on l.classoid = o.classid and l.objoid = o.oid and l.objsubid = o.subid
union all
-- Relations.
select r.kind, r.name, null, p.property, p.value
  from relation as r
  left join lateral (
       select string_agg(h.inhparent::regclass || case when h.inhdetachpending then ' (being detached)' else '' end,
                         ', ' order by h.inhseqno) as parents
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
    ('options', concat_ws(', ', array_to_string(r.reloptions, ', '), (
       select string_agg('toast.' || o, ', ') from pg_class as t, unnest(t.reloptions) as o where t.oid = r.reltoastrelid))),
    ('access method', (select amname::text from pg_am where oid = r.relam)),
    ('tablespace', (select spcname::text from pg_tablespace where oid = r.reltablespace)),
    ('of type', case when r.reloftype <> 0 then format_type(r.reloftype, null) end),
    ('definition', case when r.relkind in ('v', 'm') and %(alike)s then pg_get_viewdef(r.oid) end)
  ) as p (property, value)
 where p.value <> ''
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
    -- It stays when the one that it inherits goes.
    ('inherited', case when a.attinhcount > 0 and a.attislocal and not r.relispartition then 'and defined here' end),
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
    ('tablespace', (select spcname::text from pg_tablespace where oid = i.reltablespace)),
    -- Those of an expression; their column is counted, as it has no name of its own.
    ('statistics targets', (select string_agg(format('%%s: %%s', a.attnum, x), ', ' order by a.attnum)
       from pg_attribute as a, nullif(to_jsonb(a) ->> 'attstattarget', '-1') as x
      where a.attrelid = i.indexrelid and x is not null)),
    ('options', case when i.parent is not null then array_to_string(i.reloptions, ', ') end),
    ('comment', case when i.parent is not null then obj_description(i.indexrelid, 'pg_class') end)
  ) as p (property, value)
 where p.value is not null
union all
-- A foreign key to a partitioned table has a part for each of that table's partitions, too.
select 'constraint', case when c.confrelid <> pc.confrelid then format('the part of %%s on %%s for %%s', pc.conname, r.name, f.name)
                          when c.conparentid <> 0 then format('the part of %%s on %%s', pc.conname, r.name)
                          when c.contype = 'n' and r.relispartition then format('not null %%I on %%s',
                               (select a.attname from pg_attribute as a where a.attrelid = c.conrelid and a.attnum = c.conkey[1]), r.name)
                          else format('%%I on %%s', c.conname, coalesce(r.name, t.name)) end,
       case when c.confrelid <> pc.confrelid then f.name else coalesce(r.name, t.name) end, p.property, p.value
  from pg_constraint as c left join relation as r on r.oid = c.conrelid
  left join own_type as t on t.oid = c.contypid left join pg_constraint as pc on pc.oid = c.conparentid
  left join relation as f on f.oid = c.confrelid,
  lateral (values
    ('definition', case when c.conparentid = 0 then pg_get_constraintdef(c.oid) end),
    ('inherited', case when c.coninhcount > 0 and c.conislocal and not r.relispartition then 'and defined here' end),
    ('comment', case when c.conparentid <> 0 then obj_description(c.oid, 'pg_constraint') end),
    ('state', concat_ws(', ', case when c.convalidated then 'valid' else 'NOT VALID' end,
                        case when to_jsonb(c) ->> 'conenforced' = 'false' then 'not enforced' end)),
    -- A foreign key holds no longer when the triggers behind it, on either table, are disabled.
    ('triggers', (select string_agg(distinct case t.tgenabled when 'D' then 'DISABLED' when 'A' then 'always' else 'on replicas only' end
                                    || ' on ' || t.tgrelid::regclass, ', ')
                    from pg_trigger as t where t.tgconstraint = c.oid and t.tgisinternal and t.tgenabled <> 'O'))
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
    ('support', nullif(f.prosupport, 0)::regproc::text),
    ('transforms', nullif(array_to_string(f.protrftypes::regtype[], ', '), '')),
    ('volatility', case f.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end),
    ('security', case when f.prosecdef then 'definer' else 'invoker' end),
    ('leakproof', case when f.proleakproof then 'yes' end),
    ('called on null', case when f.proisstrict then 'no' else 'yes' end),
    ('parallel', case f.proparallel when 's' then 'safe' when 'r' then 'restricted' else 'unsafe' end),
    ('cost and rows', format('%%s, %%s', f.procost, f.prorows)),
    ('settings', (select string_agg(case when c.entry like '%%.%%=%%' and c.entry !~ '^(plpgsql\.|[^.]*=)'
                                         then split_part(c.entry, '=', 1) || '=(hidden ' || md5(c.entry) || ')' else c.entry end, '; ')
                    from unnest(f.proconfig) as c (entry))),
    ('window', case when f.prokind = 'w' then 'yes' end),
    ('aggregate', case when a.aggfnoid is not null then
       -- All of its columns there are; objects with their names.
       concat_ws(', ', 'kind ' || a.aggkind::text, 'sfunc ' || a.aggtransfn, 'stype ' || format_type(a.aggtranstype, null),
         'sspace ' || nullif(a.aggtransspace, 0), 'finalfunc ' || nullif(a.aggfinalfn, 0)::regproc,
         case when a.aggfinalextra then 'finalfunc_extra' end, 'finalfunc_modify ' || a.aggfinalmodify::text,
         'combinefunc ' || nullif(a.aggcombinefn, 0)::regproc, 'serialfunc ' || nullif(a.aggserialfn, 0)::regproc,
         'deserialfunc ' || nullif(a.aggdeserialfn, 0)::regproc, 'initcond ' || quote_literal(a.agginitval),
         'msfunc ' || nullif(a.aggmtransfn, 0)::regproc, 'minvfunc ' || nullif(a.aggminvtransfn, 0)::regproc,
         'mstype ' || format_type(nullif(a.aggmtranstype, 0), null), 'msspace ' || nullif(a.aggmtransspace, 0),
         'mfinalfunc ' || nullif(a.aggmfinalfn, 0)::regproc, case when a.aggmfinalextra then 'mfinalfunc_extra' end,
         'mfinalfunc_modify ' || a.aggmfinalmodify::text, 'minitcond ' || quote_literal(a.aggminitval),
         'sortop ' || nullif(a.aggsortop, 0)::regoperator) end)
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
    ('collation', (select format('%%I.%%I', n.nspname, c.collname) from pg_collation as c
                     join pg_namespace as n on n.oid = c.collnamespace
                    where t.typtype = 'd' and c.oid = t.typcollation
                      and c.oid <> (select b.typcollation from pg_type as b where b.oid = t.typbasetype))),
    ('subtype', case when g.rngtypid is not null then
       concat_ws(', ', format_type(g.rngsubtype, null), 'collation ' || nullif(g.rngcollation, 0)::regcollation,
         (select format('operator class %%s.%%I', c.opcnamespace::regnamespace, c.opcname)
            from pg_opclass as c where c.oid = g.rngsubopc),
         'canonical ' || nullif(g.rngcanonical, 0)::regproc, 'subtype_diff ' || nullif(g.rngsubdiff, 0)::regproc,
         'multirange ' || g.rngmultitypid::regtype) end),
    ('definition', case when not t.typisdefined then 'only a shell' when t.typtype = 'b' then
       concat_ws(', ', 'input ' || t.typinput, 'output ' || t.typoutput, 'receive ' || nullif(t.typreceive, 0)::regproc,
         'send ' || nullif(t.typsend, 0)::regproc, 'typmod_in ' || nullif(t.typmodin, 0)::regproc,
         'typmod_out ' || nullif(t.typmodout, 0)::regproc, 'analyze ' || nullif(t.typanalyze, 0)::regproc,
         'subscript ' || nullif(t.typsubscript, 0)::regproc, 'length ' || t.typlen, case when t.typbyval then 'by value' end,
         'alignment ' || t.typalign::text, 'storage ' || t.typstorage::text, 'category ' || quote_literal(t.typcategory::text),
         case when t.typispreferred then 'preferred' end, 'delimiter ' || quote_literal(t.typdelim::text)) end)
  ) as p (property, value)
 where p.value is not null
union all
-- Everything else.
select 'extension', quote_ident(e.extname), null, p.property, p.value
  from pg_extension as e,
  lateral (values ('version', case when %(alike)s then e.extversion end), ('schema', e.extnamespace::regnamespace::text)) as p (property, value)
 where e.oid >= 16384 and p.value is not null
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
                            case when b.puballtables then 'all tables' end, case when b.pubviaroot then 'via root' end,
                            -- From 18 on.
                            case when to_jsonb(b) ->> 'pubgencols' = 's' then 'stored generated columns' end)),
    ('tables', (select string_agg(t.prrelid::regclass || coalesce(' where ' || pg_get_expr(t.prqual, t.prrelid), '')
                                  || coalesce(' (' || (select string_agg(quote_ident(a.attname), ', ' order by a.attname)
                                                         from pg_attribute as a
                                                        where a.attrelid = t.prrelid and a.attnum = any (t.prattrs)) || ')', ''),
                                  ', ' order by t.prrelid::regclass::text)
                  from pg_publication_rel as t where t.prpubid = b.oid)),
    ('schemas', (select string_agg(s.pnnspid::regnamespace::text, ', ' order by s.pnnspid::regnamespace::text)
                   from pg_publication_namespace as s where s.pnpubid = b.oid))
  ) as p (property, value)
 where p.value is not null
union all
select 'foreign-data wrapper', quote_ident(w.fdwname), null, 'definition',
       concat_ws(' ', nullif(w.fdwhandler, 0)::regproc, nullif(w.fdwvalidator, 0)::regproc,
                 (select string_agg(split_part(o, '=', 1) || '=' || '(hidden ' || md5(o) || ')', ', ') from unnest(w.fdwoptions) as o))
  from pg_foreign_data_wrapper as w
 where (('pg_foreign_data_wrapper'::regclass)::oid, w.oid) not in (table extension_member)
union all
select 'server', quote_ident(s.srvname), null, 'definition',
       concat_ws(' ', w.fdwname, s.srvtype, s.srvversion,
                 (select string_agg(split_part(o, '=', 1) || '=' || '(hidden ' || md5(o) || ')', ', ') from unnest(s.srvoptions) as o))
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
       concat_ws(', ', 'for type ' || format_type(c.opcintype, null), case when c.opcdefault then 'default' end,
                 'storage ' || format_type(nullif(c.opckeytype, 0), null), f.opfname)
  from object as o join pg_opclass as c on o.classid = 'pg_opclass'::regclass and c.oid = o.oid
  join (select oid, format('family %%s.%%I', opfnamespace::regnamespace, opfname) as opfname from pg_opfamily) as f
    on f.oid = c.opcfamily
union all
select 'operator family', o.name, null, 'members',
       (select string_agg(m.text, ', ' order by m.text)
          from (select concat_ws(' ', 'operator', a.amopstrategy, a.amopopr::regoperator,
                                 (select format('order by %%s.%%I', s.opfnamespace::regnamespace, s.opfname)
                                    from pg_opfamily as s where s.oid = a.amopsortfamily)) as text
                  from pg_amop as a where a.amopfamily = o.oid
                 union all
                select format('function %%s (%%s, %%s) %%s', p.amprocnum, format_type(p.amproclefttype, null),
                              format_type(p.amprocrighttype, null), p.amproc::regprocedure)
                  from pg_amproc as p where p.amprocfamily = o.oid) as m)
  from object as o where o.classid = 'pg_opfamily'::regclass
union all
select 'conversion', o.name, null, 'definition',
       format('%%s to %%s by %%s%%s', pg_encoding_to_char(c.conforencoding), pg_encoding_to_char(c.contoencoding), c.conproc,
              case when c.condefault then ', default' else '' end)
  from object as o join pg_conversion as c on o.classid = 'pg_conversion'::regclass and c.oid = o.oid
union all
select 'access method', o.name, null, 'definition', concat_ws(' ', a.amtype, a.amhandler)
  from object as o join pg_am as a on o.classid = 'pg_am'::regclass and a.oid = o.oid
union all
select 'language', o.name, null, 'definition',
       concat_ws(', ', case when l.lanpltrusted then 'trusted' end, nullif(l.lanplcallfoid, 0)::regproc,
                 nullif(l.laninline, 0)::regproc, nullif(l.lanvalidator, 0)::regproc)
  from object as o join pg_language as l on o.classid = 'pg_language'::regclass and l.oid = o.oid
union all
select 'transform', o.name, null, 'definition',
       concat_ws(', ', nullif(t.trffromsql, 0)::regprocedure, nullif(t.trftosql, 0)::regprocedure)
  from object as o join pg_transform as t on o.classid = 'pg_transform'::regclass and t.oid = o.oid
union all
select 'text search parser', o.name, null, 'definition',
       concat_ws(', ', p.prsstart, p.prstoken, p.prsend, nullif(p.prsheadline, 0)::regproc, p.prslextype)
  from object as o join pg_ts_parser as p on o.classid = 'pg_ts_parser'::regclass and p.oid = o.oid
union all
select 'text search template', o.name, null, 'definition', concat_ws(', ', nullif(t.tmplinit, 0)::regproc, t.tmpllexize)
  from object as o join pg_ts_template as t on o.classid = 'pg_ts_template'::regclass and t.oid = o.oid
union all
-- Its connection string is not read: it may hold a password.
select 'subscription', o.name, null, 'definition',
       concat_ws(', ', array_to_string(s.subpublications, ', '), case when s.subenabled then 'enabled' end,
                 'slot ' || s.subslotname, 'synchronous commit ' || s.subsynccommit)
  from object as o join pg_subscription as s on o.classid = 'pg_subscription'::regclass and s.oid = o.oid
union all
select 'subscription', o.name, null, 'options', p.value
       -- A column that the server does not have yet is this one instead; only a superuser may read all of a row.
  from (values (null, null, null, null)) as later (suborigin, subpasswordrequired, subrunasowner, subfailover),
       object as o,
       lateral (select concat_ws(', ', 'binary ' || s.subbinary, 'streaming ' || s.substream::text,
                                 'two phase ' || (s.subtwophasestate <> 'd'), 'disable on error ' || s.subdisableonerr,
                                 'origin ' || suborigin, 'password required ' || subpasswordrequired,
                                 'run as owner ' || subrunasowner, 'failover ' || subfailover)
                  from pg_subscription as s where s.oid = o.oid) as p (value)
 where o.classid = 'pg_subscription'::regclass and %(alike)s
union all
select 'collation', o.name, null, 'definition',
       concat_ws(', ', c.collprovider, c.collisdeterministic, c.collcollate, c.collctype,
                 to_jsonb(c) ->> 'colliculocale', to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'collicurules')
  from object as o join pg_collation as c on o.classid = 'pg_collation'::regclass and c.oid = o.oid
union all
select 'text search configuration', o.name, null, 'parser',
       (select c.cfgparser_name from (select format('%%s.%%I', p.prsnamespace::regnamespace, p.prsname) as cfgparser_name, p.oid
          from pg_ts_parser as p) as c where c.oid = (select cfgparser from pg_ts_config where oid = o.oid))
  from object as o where o.classid = 'pg_ts_config'::regclass
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
       -- Without one, nobody has any.
       'privileges of ' || g.name,
       string_agg(a.privilege_type || case when a.is_grantable then ' with grant option' else '' end, ', ' order by a.privilege_type)
  from pg_default_acl as d join role as r on r.oid = d.defaclrole
  left join (lateral aclexplode(d.defaclacl) as a join role as g on g.oid = a.grantee) on true
 where %(maintain)s or a.privilege_type is distinct from 'MAINTAIN'
 group by r.name, d.defaclnamespace, d.defaclobjtype, g.name
union all
select 'database', '(this one)', null, 'setting ' || s.name || coalesce(' of ' || r.name, ''), s.value
  from setting as s
  left join role as r on r.oid = s.setrole and s.setrole <> 0
 where s.setdatabase = (select oid from pg_database where datname = current_database())
union all
-- Roles that own something here, may do something, or are named by a policy: not logins of applications,
-- unless all are asked for.
select 'role', r.name, null, p.property, p.value
  from role as r join pg_roles as x on x.oid = r.oid,
  lateral (values
    ('attributes', concat_ws(', ', case when x.rolsuper then 'superuser' end, case when not x.rolinherit then 'noinherit' end,
                             case when x.rolcreaterole then 'createrole' end, case when x.rolcreatedb then 'createdb' end,
                             case when x.rolcanlogin then 'login' end, case when x.rolreplication then 'replication' end,
                             case when x.rolbypassrls then 'bypassrls' end,
                             'connection limit ' || nullif(x.rolconnlimit, -1),
                             'valid until ' || (x.rolvaliduntil at time zone 'UTC') || ' UTC')),
    -- More than one may have granted it. The last two options are new in 16.
    ('member of', (select string_agg(m.name || m.options, ', ' order by m.name)
                     from (select g.name, concat(case when bool_or(m.admin_option) then ' with admin option' end,
                                    case when %(membership)s and not bool_or((to_jsonb(m) ->> 'inherit_option')::boolean)
                                         then ' without inherit' end,
                                    case when %(membership)s and not bool_or((to_jsonb(m) ->> 'set_option')::boolean)
                                         then ' without set' end) as options
                             from pg_auth_members as m join role as g on g.oid = m.roleid
                            where m.member = x.oid group by g.name) as m)),
    ('settings', (select string_agg(s.name || '=' || s.value, ', ' order by s.name)
                    from setting as s where s.setdatabase = 0 and s.setrole = x.oid)),
    ('comment', shobj_description(x.oid, 'pg_authid'))
  ) as p (property, value)
 where x.rolname <> current_user and x.rolname !~ '^pg_' and p.value is not null
   and (%(every_role)s or x.oid in (select owner from object where owner is not null)
        or 'privileges of ' || r.name in (select property from privilege)
        or exists (select from pg_policy as y where x.oid = any (y.polroles)))
order by 1, 2, 4 nulls first
