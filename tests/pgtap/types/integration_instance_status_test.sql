-- Tests types/integration_instance_status.
begin;
select plan(3);

select has_enum('integrations', 'integration_instance_status', 'the type is there');
select enum_has_labels(
  'integrations', 'integration_instance_status',
  array['pending', 'active', 'error', 'disabled', 'revoked'], 'its labels');
select type_owner_is(
  'integrations', 'integration_instance_status', 'integrations_owner', 'its owner');

select * from finish();
rollback;
