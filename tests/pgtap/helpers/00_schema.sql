-- Helpers of the pgTAP tests. Never part of the plan: they stand in test databases only.
create schema tests;

comment on schema tests is
$$Helpers of the pgTAP tests; no part of the package.$$;

-- Tests run as every role of the package, and each of them needs the helpers and pgTAP itself.
grant usage on schema public, tests
to integrations_admin,
   integrations_auditor,
   integrations_keymaster,
   integrations_owner,
   integrations_tenant,
   svc_integration;
