-- Deploy integrations:schemas/integrations to pg
-- requires: roles/integrations_owner
-- requires: roles/integrations_keymaster
-- requires: roles/svc_integration
-- requires: roles/integrations_tenant
-- requires: roles/integrations_admin
-- requires: roles/integrations_auditor

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Default privileges of the deployer would open every table and function that follows to others.
-- (Those for PUBLIC are revoked object by object.)
do $default_privileges$
declare
  v_grantees text;
begin
  select pg_catalog.string_agg(distinct a.grantee::pg_catalog.regrole::text, ', ')
    into v_grantees
    from pg_catalog.pg_default_acl as d
         cross join lateral pg_catalog.aclexplode(d.defaclacl) as a
   where d.defaclrole = pg_catalog.quote_ident(current_user)::pg_catalog.regrole
     and d.defaclnamespace = 0
     and a.grantee not in (0, d.defaclrole);

  if v_grantees is not null then
    raise exception 'default privileges of role "%" give its new objects to: %',
                    current_user, v_grantees
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Deploy as a role without such ALTER DEFAULT PRIVILEGES.';
  end if;
end
$default_privileges$;

create schema integrations authorization integrations_owner;

comment on schema integrations is
$$Connectors to outside services and the installations of them: the tables, and the functions that
applications call.$$;

revoke all on schema integrations from public;
grant usage on schema integrations
to integrations_admin,
   integrations_auditor,
   integrations_keymaster,
   integrations_tenant,
   svc_integration;

commit;
