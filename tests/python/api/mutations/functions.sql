-- Functions: owner, privileges, comment, settings, whose rights they run with.
with f as (
  select p.oid::regprocedure as f, p.proconfig, p.prosecdef, p.provolatile,
         case when proname like 'tg\_integration%' then 'triggers/integration_definitions_immutable'
              when proname like 'tg\_%' then 'triggers/audit_log_append_only'
              when proname in ('hmac', 'random_bytes', 'encrypt_text', 'decrypt_text',
                               'encrypt_bytes', 'decrypt_bytes') then 'functions/pgcrypto'
              else 'functions/' || proname end as change
    from pg_proc as p
   where pronamespace in ('integrations'::regnamespace, 'integrations_private'::regnamespace)
)
select change, format('alter function %s owner to pg_monitor', f) from f
union all select change, format('grant execute on function %s to public', f) from f
union all select change, format('grant execute on function %s to integrations_auditor', f) from f
union all select change, format('comment on function %s is null', f) from f
union all select change, format('alter function %s reset all', f) from f where proconfig is not null
union all select change, format('alter function %s reset %s', f, split_part(setting, '=', 1))
  from f, unnest(proconfig) as setting
union all select change, format('alter function %s set search_path = public', f) from f
union all select change, format('alter function %s security %s', f,
                                case when prosecdef then 'invoker' else 'definer' end) from f
union all select f.change, format('revoke execute on function %s from %s', f, a.grantee::regrole)
  from f join pg_proc as p on p.oid = f.f, aclexplode(p.proacl) as a where a.grantee <> p.proowner
union all select f.change, format('grant execute on function %s to %s with grant option', f,
                                  a.grantee::regrole)
  from f join pg_proc as p on p.oid = f.f, aclexplode(p.proacl) as a where a.grantee <> p.proowner
union all select change, format('alter function %s %s', f,
                                case provolatile when 'v' then 'stable' else 'volatile' end)
  from f where change not like 'triggers/%'
union all select change, format('alter function %s %s', f, how)
  from f, unnest(array['strict', 'leakproof']) as how where change not like 'triggers/%';
