-- Verify integrations:tables/audit_log_default on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

do $verify$
begin
  if (
    select c.relispartition
           and c.relowner = pg_catalog.to_regrole('integrations_owner')
           and c.relrowsecurity
           and c.relforcerowsecurity
           and pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT'
           and not exists (
             select from pg_catalog.aclexplode(c.relacl) as a where a.grantee <> c.relowner)
           and pg_catalog.obj_description(c.oid, 'pg_class') is not null
           and not exists (
             select from pg_catalog.pg_attribute as a
              where a.attrelid = c.oid and a.attnum > 0
                and (a.attacl is not null or pg_catalog.col_description(c.oid, a.attnum) is null))
      from pg_catalog.pg_class as c
           join pg_catalog.pg_inherits as i
             on i.inhrelid = c.oid
            and i.inhparent = pg_catalog.to_regclass('integrations_private.audit_log')
     where c.oid = pg_catalog.to_regclass('integrations_private.audit_log_default')
  ) is not true then
    raise exception
      'verify tables/audit_log_default: missing, or owner, row-level security or comment differ';
  end if;

  if (
    select pg_catalog.array_agg(
             t.tgname || ' ' || t.tgtype::text || t.tgenabled::text
             || case
                  when pg_catalog.obj_description(t.oid, 'pg_trigger') is null then ''
                  else ' commented'
                end
             order by t.tgname)
      from pg_catalog.pg_trigger as t
     where t.tgrelid = pg_catalog.to_regclass('integrations_private.audit_log_default')
       and t.tgfoid = pg_catalog.to_regprocedure('integrations_private.tg_audit_log__append_only()')
  ) is distinct from array['_100_append_only 27A', '_110_no_truncate 34A commented'] then
    raise exception 'verify tables/audit_log_default: a guard is missing, or not enabled always';
  end if;
end
$verify$;

rollback;
