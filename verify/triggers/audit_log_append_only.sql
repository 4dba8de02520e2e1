-- Verify integrations:triggers/audit_log_append_only on pg

begin;
set local search_path = pg_catalog, pg_temp;
set local quote_all_identifiers = off;

do $verify$
begin
  -- tgtype: row 1, before 2, delete 8, update 16, truncate 32.
  if (
    select pg_catalog.array_agg(t.tgname || ' ' || t.tgtype::text || t.tgenabled::text
                                order by t.tgname)
      from pg_catalog.pg_trigger as t
     where t.tgrelid = pg_catalog.to_regclass('integrations_private.audit_log')
       and not t.tgisinternal
       and t.tgfoid = pg_catalog.to_regprocedure('integrations_private.tg_audit_log__append_only()')
       and pg_catalog.obj_description(t.oid, 'pg_trigger') is not null
  ) is distinct from array['_100_append_only 27A', '_110_no_truncate 34A'] then
    raise exception
      'verify triggers/audit_log_append_only: a trigger is missing, or not always enabled';
  end if;

  if (
    select not p.prosecdef
           and p.proowner = pg_catalog.to_regrole('integrations_owner')
           and p.proconfig = array['search_path=pg_catalog, pg_temp']
           and pg_catalog.obj_description(p.oid, 'pg_proc') is not null
           and not exists (
             select
               from pg_catalog.aclexplode(
                      coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) as a
              where a.grantee <> p.proowner)
      from pg_catalog.pg_proc as p
     where p.oid = pg_catalog.to_regprocedure('integrations_private.tg_audit_log__append_only()')
  ) is not true then
    raise exception
      'verify triggers/audit_log_append_only: the trigger function is missing, or differs';
  end if;
end
$verify$;

rollback;
