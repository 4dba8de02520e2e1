-- Tests functions/instance_may_move: the whole matrix of moves.
begin;
select plan(11);

select has_function(
  'integrations_private', 'instance_may_move',
  array['integrations.integration_instance_status', 'integrations.integration_instance_status']
);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.instance_may_move('
    'integrations.integration_instance_status,'
    'integrations.integration_instance_status)'::regprocedure
  ),
  'old_status integrations.integration_instance_status, '
    || 'new_status integrations.integration_instance_status',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'instance_may_move',
  array['integrations.integration_instance_status', 'integrations.integration_instance_status'],
  'boolean'
);
select function_lang_is(
  'integrations_private', 'instance_may_move',
  array['integrations.integration_instance_status', 'integrations.integration_instance_status'],
  'sql'
);
select volatility_is(
  'integrations_private', 'instance_may_move',
  array['integrations.integration_instance_status', 'integrations.integration_instance_status'],
  'immutable'
);
select isnt_definer(
  'integrations_private', 'instance_may_move',
  array['integrations.integration_instance_status', 'integrations.integration_instance_status']
);
select function_owner_is(
  'integrations_private', 'instance_may_move',
  array['integrations.integration_instance_status', 'integrations.integration_instance_status'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.instance_may_move('
  'integrations.integration_instance_status,integrations.integration_instance_status)',
  array[]::name[]
);

select tests.as_owner(null);
select results_eq(
  $$
    select o::text as old_status, n::text as new_status
      from pg_catalog.unnest(
             pg_catalog.enum_range(null::integrations.integration_instance_status)) as o
           cross join pg_catalog.unnest(
             pg_catalog.enum_range(null::integrations.integration_instance_status)) as n
     where integrations_private.instance_may_move(o, n)
     order by o, n
  $$,
  $$
    values ('pending', 'revoked'),
           ('active', 'error'),
           ('active', 'disabled'),
           ('active', 'revoked'),
           ('error', 'active'),
           ('error', 'disabled'),
           ('error', 'revoked'),
           ('disabled', 'active'),
           ('disabled', 'error'),
           ('disabled', 'revoked')
  $$,
  'these moves and no other');
select is_empty(
  $$
    select o, n
      from pg_catalog.unnest(
             pg_catalog.enum_range(null::integrations.integration_instance_status)) as o
           cross join pg_catalog.unnest(
             pg_catalog.enum_range(null::integrations.integration_instance_status)) as n
     where integrations_private.instance_may_move(o, n) is null
  $$,
  'and never an answer of NULL, which "if not" would let pass');

select * from finish();
rollback;
