-- Deploy integrations:functions/examine_settings to pg
-- requires: roles/svc_integration
-- requires: roles/integrations_admin

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- What counts is what the logins get that pass secrets, so this asks for each of them what their
-- sessions begin with; and for the session that asks. A module's settings are there in a session
-- only if it is loaded, and may be given to a role all the same.
create function integrations_private.examine_settings()
returns table (
  check_name text,
  status text,
  detail text
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
  -- Since 16 whoever makes a role is a member that can neither use it nor become it.
  v_membership constant text :=
    case when pg_catalog.current_setting('server_version_num')::integer >= 160000
         then 'usage, set'
         else 'member'
    end;
begin
  return query
    with login as (
      select r.oid, r.rolname
        from pg_catalog.pg_roles as r
       where r.rolcanlogin
         and not r.rolsuper
         and (pg_catalog.pg_has_role(r.oid, 'svc_integration', v_membership)
              or pg_catalog.pg_has_role(r.oid, 'integrations_admin', v_membership))
    ),
    given as (
      select s.setrole, s.setdatabase,
             pg_catalog.lower(pg_catalog.split_part(c.setting, '=', 1)) as name,
             pg_catalog.substr(c.setting, pg_catalog.strpos(c.setting, '=') + 1) as value
        from pg_catalog.pg_db_role_setting as s
             cross join lateral pg_catalog.unnest(s.setconfig) as c (setting)
       where s.setdatabase in (0, (select d.oid from pg_catalog.pg_database as d
                                    where d.datname = pg_catalog.current_database()))
    ),
    known as (
      select pg_catalog.lower(s.name) as name,
             -- doctor itself has switched these off.
             case when s.name ~ '^debug_print' then s.reset_val else s.setting end as setting,
             -- What a session of somebody else begins with, as far as this one can tell.
             case when exists (select from given as g
                                where g.name = pg_catalog.lower(s.name)
                                  and g.setrole = pg_catalog.to_regrole(
                                        pg_catalog.quote_ident(session_user)))
                  then s.boot_val
                  else s.reset_val
             end as initial
        from pg_catalog.pg_settings as s
      union all
      -- Of modules that are not loaded here, and may be in other sessions.
      select m.name, m.value, m.value
        from pg_catalog.unnest(array[
               'auto_explain.log_min_duration', 'auto_explain.log_parameter_max_length',
               'auto_explain.log_verbose', 'auto_explain.log_nested_statements',
               'pgaudit.log_parameter'
             ]) as n (name)
             cross join lateral (
               select n.name, pg_catalog.current_setting(n.name, true)) as m (name, value)
       where m.value <> ''
         and not exists (select from pg_catalog.pg_settings as s where s.name = m.name)
    ),
    session as (
      select 'this session' as who, pg_catalog.jsonb_object_agg(k.name, k.setting) as value
        from known as k
      union all
      select l.rolname,
             (select pg_catalog.jsonb_object_agg(n.name, coalesce(o.value, k.initial))
                from (select k.name from known as k union select g.name from given as g) as n
                     left join known as k on k.name = n.name
                     left join lateral (
                       select g.value
                         from given as g
                        where g.name = n.name
                          and g.setrole in (0, l.oid)
                        order by g.setrole = 0, g.setdatabase = 0
                        limit 1
                     ) as o on true)
        from login as l
    ),
    examined as (
      select s.who, s.value,
             -- The settings of a module that is not loaded may be any text, so nothing is cast.
             '^(of|off|f.*|n.*|0+)$' as off,
             coalesce(s.value ->> 'log_parameter_max_length', '-1') !~ '^0+[^0-9]*$' as prints,
             coalesce(s.value ->> 'auto_explain.log_min_duration', '-1') !~ '^-' as explains
        from session as s
    )
    select h.check_name, case when pg_catalog.bool_or(h.bad) then h.status else 'ok' end,
           case
             when pg_catalog.bool_or(h.bad)
             then h.advice || ' Found: '
                  || pg_catalog.string_agg(h.who, ', ' order by h.who) filter (where h.bad) || '.'
             when h.check_name = 'synchronous_commit' then 'Audit entries outlast a crash.'
             else 'No secret is printed by it.'
           end
      from examined as e
           cross join lateral (values
             (1, 'log_statement', e.who,
              e.prints and pg_catalog.lower(e.value ->> 'log_statement') in ('mod', 'all'), 'fail',
              'Statements are logged with their parameters, secrets among them.'
              ' Set it to none or ddl, or log_parameter_max_length to 0.'),
             (2, 'log_min_duration_statement', e.who,
              e.prints and e.value ->> 'log_min_duration_statement' !~ '^-', 'fail',
              'Slow statements are logged with their parameters, secrets among them.'
              ' Set log_parameter_max_length to 0.'),
             (3, 'log_min_duration_sample', e.who,
              e.prints and e.value ->> 'log_min_duration_sample' !~ '^-'
                and e.value ->> 'log_statement_sample_rate' !~ '^[0.]*$', 'fail',
              'Some statements are logged with their parameters, secrets among them.'
              ' Set log_parameter_max_length to 0.'),
             (4, 'log_transaction_sample_rate', e.who,
              e.prints and e.value ->> 'log_transaction_sample_rate' !~ '^[0.]*$', 'fail',
              'Some transactions are logged with their parameters, secrets among them.'
              ' Set log_parameter_max_length to 0.'),
             (5, 'log_parameter_max_length_on_error', e.who,
              e.value ->> 'log_parameter_max_length_on_error' !~ '^0+[^0-9]*$', 'fail',
              'An error prints the parameters to log and client, secrets among them.'
              ' Set it to 0.'),
             (6, 'debug_print', e.who,
              e.value ->> 'debug_print_parse' !~* e.off
                or e.value ->> 'debug_print_rewritten' !~* e.off
                or e.value ->> 'debug_print_plan' !~* e.off, 'fail',
              'Plans are logged, with the parameters in them. Switch debug_print_parse,'
              ' debug_print_rewritten and debug_print_plan off.'),
             -- PostgreSQL 15 does not print parameters there.
             (7, 'auto_explain.log_parameter_max_length', e.who,
              e.explains
                and pg_catalog.current_setting('server_version_num')::integer >= 160000
                and coalesce(e.value ->> 'auto_explain.log_parameter_max_length', '-1')
                    !~ '^0+[^0-9]*$', 'fail',
              'auto_explain logs the parameters of slow statements, secrets among them.'
              ' Set it to 0.'),
             (8, 'auto_explain.log_verbose', e.who,
              e.explains
                and (coalesce(e.value ->> 'auto_explain.log_verbose', 'off') !~* e.off
                     or coalesce(e.value ->> 'auto_explain.log_nested_statements', 'off')
                        !~* e.off),
              'warn',
              'auto_explain logs values that functions work with. Switch'
              ' auto_explain.log_verbose and auto_explain.log_nested_statements off.'),
             (9, 'pgaudit.log_parameter', e.who,
              coalesce(e.value ->> 'pgaudit.log_parameter', 'off') !~* e.off, 'fail',
              'pgAudit logs parameters, secrets among them. Switch it off.'),
             (10, 'synchronous_commit', e.who,
              e.value ->> 'synchronous_commit' ~* e.off, 'warn',
              'A crash can lose the last audit entries. Set it to on.')
           ) as h (place, check_name, who, bad, status, advice)
     group by h.place, h.check_name, h.status, h.advice
     order by h.place;
end;
$function$;

alter function integrations_private.examine_settings() owner to integrations_owner;

comment on function integrations_private.examine_settings() is
$$Tells which settings would print secrets, or lose audit entries, in this session or in those of
the logins that pass secrets. Called through doctor.$$;

revoke all on function integrations_private.examine_settings() from public;
grant execute on function integrations_private.examine_settings()
to integrations_keymaster;

commit;
