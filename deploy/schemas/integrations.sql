-- Deploy integrations:schemas/integrations to pg
-- requires: roles/integrations_owner
-- requires: roles/integrations_keymaster
-- requires: roles/svc_integration
-- requires: roles/integrations_tenant
-- requires: roles/integrations_admin
-- requires: roles/integrations_auditor

begin;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

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
