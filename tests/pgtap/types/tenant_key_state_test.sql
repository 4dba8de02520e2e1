-- Tests types/tenant_key_state.
begin;
select plan(3);

select has_enum('integrations_private', 'tenant_key_state', 'the type is there');
select enum_has_labels(
  'integrations_private', 'tenant_key_state',
  array['active', 'decrypt_only', 'retired', 'destroyed'], 'its labels');
select type_owner_is(
  'integrations_private', 'tenant_key_state', 'integrations_owner', 'its owner');

select * from finish();
rollback;
