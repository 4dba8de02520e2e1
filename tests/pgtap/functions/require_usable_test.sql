-- Tests functions/require_usable.
begin;
select plan(14);

select has_function(
  'integrations_private', 'require_usable',
  array['uuid', 'integrations.integration_instance_status']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.require_usable('
    'uuid,integrations.integration_instance_status)'::regprocedure
  ),
  'instance_id uuid, status integrations.integration_instance_status',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'require_usable',
  array['uuid', 'integrations.integration_instance_status'],
  'void'
);
select function_lang_is(
  'integrations_private', 'require_usable',
  array['uuid', 'integrations.integration_instance_status'],
  'plpgsql'
);
select volatility_is(
  'integrations_private', 'require_usable',
  array['uuid', 'integrations.integration_instance_status'],
  'immutable'
);
select isnt_definer(
  'integrations_private', 'require_usable',
  array['uuid', 'integrations.integration_instance_status']
);
select function_owner_is(
  'integrations_private', 'require_usable',
  array['uuid', 'integrations.integration_instance_status'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.require_usable(uuid,integrations.integration_instance_status)',
  array[]::name[]
);

select tests.as_owner(null);
select lives_ok(
  pg_catalog.format('select integrations_private.require_usable(%L, %L)', tests.nobody(), s),
  s || ' is usable')
from pg_catalog.unnest(array['pending', 'active', 'error']) as s;
select throws_ok(
  pg_catalog.format('select integrations_private.require_usable(%L, %L)', tests.nobody(), s),
  'IN202', 'integration instance is disabled or revoked', 'require_usable refuses ' || s)
from pg_catalog.unnest(array['disabled', 'revoked']) as s;

select * from finish();
rollback;
