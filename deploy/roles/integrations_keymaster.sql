-- Deploy integrations:roles/integrations_keymaster to pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- A second owner, so that only its few functions can ever see more than one tenant.
-- Roles belong to the cluster: another database may have made this one already.
do $role$
declare
  -- Since 16 a membership says on its own whether it inherits and may be assumed.
  v_has_set_option constant boolean :=
    pg_catalog.current_setting('server_version_num')::integer >= 160000;
  v_grant text;
  v_excess text;
begin
  if pg_catalog.to_regrole('integrations_keymaster') is null then
    create role integrations_keymaster nologin;
    comment on role integrations_keymaster is
$$Owns the cross-tenant maintenance functions of the Integrations component; never reads
credentials.
Created by integrations-db.$$;
  end if;

  select pg_catalog.concat_ws(' ',
           case when r.rolsuper then 'SUPERUSER' end,
           case when r.rolbypassrls then 'BYPASSRLS' end,
           case when r.rolcreaterole then 'CREATEROLE' end,
           case when r.rolcreatedb then 'CREATEDB' end,
           case when r.rolreplication then 'REPLICATION' end)
    into v_excess
    from pg_catalog.pg_roles as r
   where r.rolname = 'integrations_keymaster';

  if v_excess <> '' then
    raise exception 'the existing role "integrations_keymaster" is too powerful: %', v_excess
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Row-level security must hold for it. Take these away with ALTER ROLE.';
  end if;

  -- The deployer acts for this role when it gives objects away. A superuser may do that anyway.
  if not pg_catalog.pg_has_role('integrations_keymaster', 'usage')
     or not pg_catalog.pg_has_role(
              'integrations_keymaster', case when v_has_set_option then 'set' else 'member' end)
  then
    v_grant := pg_catalog.format(
      case when v_has_set_option
           then 'grant integrations_keymaster to %I with inherit true, set true'
           else 'grant integrations_keymaster to %I'
      end, current_user);
    begin
      execute v_grant;
    exception when insufficient_privilege then
      raise exception 'role "%" may not act for the existing role "%"',
                      current_user, 'integrations_keymaster'
        using errcode = 'insufficient_privilege',
              hint = pg_catalog.format('A DBA must run: %s;', v_grant);
    end;

    if not pg_catalog.pg_has_role('integrations_keymaster', 'usage') then
      raise exception 'role "%" does not inherit the privileges of its roles', current_user
        using errcode = 'insufficient_privilege',
              hint = pg_catalog.format('A DBA must run: alter role %I inherit;', current_user);
    end if;
  end if;
end
$role$;

commit;
