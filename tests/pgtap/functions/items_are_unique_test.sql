-- Tests functions/items_are_unique.
begin;
select plan(27);

select has_function('integrations_private', 'items_are_unique', array['jsonb']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.items_are_unique(jsonb)'::regprocedure
  ),
  'items jsonb',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'items_are_unique', array['jsonb'], 'boolean');
select function_lang_is('integrations_private', 'items_are_unique', array['jsonb'], 'plpgsql');
select volatility_is('integrations_private', 'items_are_unique', array['jsonb'], 'immutable');
select isnt_definer('integrations_private', 'items_are_unique', array['jsonb']);
select function_owner_is(
  'integrations_private', 'items_are_unique',
  array['jsonb'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.items_are_unique(jsonb)', array[]::name[]);

-- The hash of an array rotates by one bit with each item, so what stands 32 items apart takes
-- itself back. Different items, all with one hash:
create temporary table colliding on commit drop as
select n,
       (select pg_catalog.jsonb_agg(case when m in (n, n + 32) then '"x"'::jsonb else '0' end
                                    order by m)
          from pg_catalog.generate_series(1, 96) as m) as item
  from pg_catalog.generate_series(1, 60) as n;
grant select on pg_temp.colliding to integrations_owner;

select tests.as_owner();
select is(
  integrations_private.items_are_unique(v.items::jsonb), v.answer, 'the items of ' || v.items)
from (
  values ('[]', true),
         ('[1]', true),
         ('[1, 2, 3]', true),
         ('[1, 2, 1.0]', false),
         ('[0, false, null, "", [], {}]', true),
         ('[1, true]', true),
         ('["a", "A", "a "]', true),
         ('["a", "b", "b"]', false),
         ('[{"a": 1, "b": [2]}, {"b": [2.0], "a": 1e0}]', false),
         ('[{"a": 1}, {"a": 2}, {"b": 1}]', true),
         ('[[1, 2], [2, 1]]', true),
         ('[null, null]', false)
) as v (items, answer);
select is(
  integrations_private.items_are_unique(
    (select pg_catalog.jsonb_agg(n) from pg_catalog.generate_series(1, 10000) as n)),
  true, 'ten thousand items are not compared with each other');
select is(
  integrations_private.items_are_unique(
    (select pg_catalog.jsonb_agg(n % 9999) from pg_catalog.generate_series(1, 10000) as n)),
  false, 'and one that is there twice is found');
select results_eq(
  $$
    select pg_catalog.count(*), pg_catalog.count(distinct pg_catalog.jsonb_hash_extended(item, 0))
      from pg_temp.colliding
  $$,
  'values (60::bigint, 1::bigint)', 'items can be made that differ and have one hash');
select is(
  integrations_private.items_are_unique(
    (select pg_catalog.jsonb_agg(item) from pg_temp.colliding where n <= 20)),
  true, 'they are not taken for equal');
select is(
  integrations_private.items_are_unique(
    (select pg_catalog.jsonb_agg(item)
       from (select item from pg_temp.colliding where n <= 20
             union all
             select item from pg_temp.colliding where n = 10) as i)),
  false, 'and among them one is found that is there twice');
select throws_ok(
  $$
    select integrations_private.items_are_unique(pg_catalog.jsonb_agg(item)) from pg_temp.colliding
  $$,
  '54000', 'too many items of an array have the same hash', 'nor are many compared without end');

select * from finish();
rollback;
