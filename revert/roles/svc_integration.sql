-- Revert integrations:roles/svc_integration from pg

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- The role goes only if this package made it and nobody else needs it; otherwise a notice says why
-- it stays. It must not be dropped from under another database or from its members.
do $role$
declare
  v_role constant oid := 'svc_integration'::pg_catalog.regrole;
  v_reason text;
begin
  v_reason := case
    when coalesce(pg_catalog.shobj_description(v_role, 'pg_authid'), '')
         not like '%Created by integrations-db.'
      then 'this package did not create it'
    when exists (
      select from pg_catalog.pg_auth_members as m
       where m.roleid = v_role
         and m.member <> pg_catalog.quote_ident(current_user)::pg_catalog.regrole)
      then 'it has members'
    when exists (
      select from pg_catalog.pg_shdepend as d
       where d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and d.refobjid = v_role)
      then 'objects or privileges, perhaps in another database, depend on it'
  end;

  if v_reason is null then
    begin
      drop role svc_integration;
    exception
      when insufficient_privilege then v_reason := 'you may not drop it';
      when dependent_objects_still_exist then v_reason := 'other objects depend on it';
    end;
  end if;

  if v_reason is not null then
    raise notice 'role "svc_integration" stays: %', v_reason;
  end if;
end
$role$;

commit;
