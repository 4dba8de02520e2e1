-- Tests schemas/integrations.
begin;
select plan(8);

select has_schema('integrations');
select schema_owner_is('integrations', 'integrations_owner');
select schema_privs_are('integrations', r, array['USAGE'], r || ' may use it, and create nothing')
from pg_catalog.unnest(array[
       'integrations_admin', 'integrations_auditor', 'integrations_keymaster',
       'integrations_tenant', 'svc_integration'
     ]) as r;
select schema_privs_are('integrations', 'public', array[]::name[], 'PUBLIC may not use it');

select * from finish();
rollback;
