-- Tests functions/find_loop.
begin;
select plan(18);

select has_function('integrations_private', 'find_loop', array['jsonb[]']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.find_loop(jsonb[])'::regprocedure
  ),
  'edges jsonb[]',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'find_loop', array['jsonb[]'], 'integer');
select function_lang_is('integrations_private', 'find_loop', array['jsonb[]'], 'plpgsql');
select volatility_is('integrations_private', 'find_loop', array['jsonb[]'], 'immutable');
select isnt_definer('integrations_private', 'find_loop', array['jsonb[]']);
select function_owner_is(
  'integrations_private', 'find_loop',
  array['jsonb[]'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.find_loop(jsonb[])', array[]::name[]);

select tests.as_owner();
select is(integrations_private.find_loop(v.edges::jsonb[]), v.node, 'the loop of ' || v.edges)
from (
  values ('{}', null),
         ('{[]}', null),
         ('{[0]}', 1),
         ('{"[1, 2]","[2]",[]}', null),
         ('{[1],[2],[0]}', 1),
         ('{[],[2],[3],"[4, 1]",[]}', 2),
         ('{"[1, 1]","[2, 2]","[3, 3]",[]}', null)
) as v (edges, node);
select is(
  integrations_private.find_loop(
    (select pg_catalog.array_agg(pg_catalog.to_jsonb(array[n, n]) order by n)
       from pg_catalog.generate_series(1, 5000) as n) || '[]'::jsonb),
  null, 'a long chain with two ways at each step is walked once');
select is(
  integrations_private.find_loop(
    (select pg_catalog.array_agg(pg_catalog.to_jsonb(array[n]) order by n)
       from pg_catalog.generate_series(1, 5000) as n) || '[4000]'::jsonb),
  4001, 'and a loop at its end is found');

select * from finish();
rollback;
