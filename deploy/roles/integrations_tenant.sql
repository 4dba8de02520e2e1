-- Deploy integrations:roles/integrations_tenant to pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- A group: the application logs in as a member.
-- Roles belong to the cluster: another database may have made this one already.
do $role$
declare
  v_excess text;
begin
  if pg_catalog.to_regrole('integrations_tenant') is null then
    create role integrations_tenant nologin;
    comment on role integrations_tenant is
$$The application's tenant path: an installation's metadata, never its credentials, never keys.
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
   where r.rolname = 'integrations_tenant';

  if v_excess <> '' then
    raise exception 'the existing role "integrations_tenant" is too powerful: %', v_excess
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Row-level security must hold for it. Take these away with ALTER ROLE.';
  end if;
end
$role$;

commit;
