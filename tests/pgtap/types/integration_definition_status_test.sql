-- Tests types/integration_definition_status.
begin;
select plan(3);

select has_enum('integrations', 'integration_definition_status', 'the type is there');
select enum_has_labels(
  'integrations', 'integration_definition_status',
  array['draft', 'published', 'deprecated', 'retired'],
  'its labels are in the order of life, which the functions compare by');
select type_owner_is(
  'integrations', 'integration_definition_status', 'integrations_owner', 'its owner');

select * from finish();
rollback;
