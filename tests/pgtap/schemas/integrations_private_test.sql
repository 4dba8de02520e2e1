-- Tests schemas/integrations_private.
begin;
select plan(8);

select has_schema('integrations_private');
select schema_owner_is('integrations_private', 'integrations_owner');
select schema_privs_are(
  'integrations_private', 'integrations_keymaster', array['USAGE'],
  'the keymaster may use it, and create nothing');
select schema_privs_are(
  'integrations_private', r, array[]::name[], r || ' may not use it')
from pg_catalog.unnest(array[
       'integrations_admin', 'integrations_auditor', 'integrations_tenant', 'svc_integration',
       'public'
     ]) as r;

select * from finish();
rollback;
