-- Triggers: fired always, present, commented.
with t as (
  select tgname, tgrelid::regclass as t,
         case when tgrelid::regclass::text like '%_default' then 'tables/audit_log_default'
              when tgrelid::regclass::text like '%audit_log' then 'triggers/audit_log_append_only'
              else 'triggers/integration_definitions_immutable' end as change
    from pg_trigger where not tgisinternal and tgparentid = 0
)
select change, format('alter table %s disable trigger %I', t, tgname) from t
union all select change, format('alter table %s enable trigger %I', t, tgname) from t
union all select change, format('drop trigger %I on %s', tgname, t) from t
union all select change, format('comment on trigger %I on %s is null', tgname, t) from t
union all select 'tables/audit_log_default',
  'alter table integrations_private.audit_log_default disable trigger _100_append_only';
