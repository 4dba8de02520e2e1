-- Deploy integrations:roles/integrations_owner to pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- No login and no BYPASSRLS: definer functions run as this role, held by forced row-level security.
-- Roles belong to the cluster: another database may have made this one already.
do $role$
declare
  -- Since 16 a membership says on its own whether it inherits and may be assumed.
  v_has_set_option constant boolean :=
    pg_catalog.current_setting('server_version_num')::integer >= 160000;
  v_grant text;
  v_excess text;
begin
  if pg_catalog.to_regrole('integrations_owner') is null then
    create role integrations_owner nologin;
    comment on role integrations_owner is
$$Owns every object of the Integrations component, and the definer functions of the tenant path.
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
   where r.rolname = 'integrations_owner';

  if v_excess <> '' then
    raise exception 'the existing role "integrations_owner" is too powerful: %', v_excess
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Row-level security must hold for it. Take these away with ALTER ROLE.';
  end if;

  -- The deployer acts for this role when it gives objects away. A superuser may do that anyway.
  if not pg_catalog.pg_has_role('integrations_owner', 'usage')
     or not pg_catalog.pg_has_role(
              'integrations_owner', case when v_has_set_option then 'set' else 'member' end)
  then
    v_grant := pg_catalog.format(
      case when v_has_set_option
           then 'grant integrations_owner to %I with inherit true, set true'
           else 'grant integrations_owner to %I'
      end, current_user);
    begin
      execute v_grant;
    exception when insufficient_privilege then
      raise exception 'role "%" may not act for the existing role "%"',
                      current_user, 'integrations_owner'
        using errcode = 'insufficient_privilege',
              hint = pg_catalog.format('A DBA must run: %s;', v_grant);
    end;

    if not pg_catalog.pg_has_role('integrations_owner', 'usage') then
      raise exception 'role "%" does not inherit the privileges of its roles', current_user
        using errcode = 'insufficient_privilege',
              hint = pg_catalog.format('A DBA must run: alter role %I inherit;', current_user);
    end if;
  end if;
end
$role$;

commit;
