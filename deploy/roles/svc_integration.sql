-- Deploy integrations:roles/svc_integration to pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- It may log in but has no password: its members, or a password that a DBA sets, are the way in.
-- Roles belong to the cluster: another database may have made this one already.
do $role$
declare
  v_excess text;
begin
  if pg_catalog.to_regrole('svc_integration') is null then
    create role svc_integration login;
    comment on role svc_integration is
$$The integration service: the only role that may read stored credentials.
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
   where r.rolname = 'svc_integration';

  if v_excess <> '' then
    raise exception 'the existing role "svc_integration" is too powerful: %', v_excess
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Row-level security must hold for it. Take these away with ALTER ROLE.';
  end if;
end
$role$;

commit;
