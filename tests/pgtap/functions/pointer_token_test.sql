-- Tests functions/pointer_token.
begin;
select plan(15);

select has_function('integrations_private', 'pointer_token', array['text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.pointer_token(text)'::regprocedure
  ),
  'name text',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'pointer_token', array['text'], 'text');
select function_lang_is('integrations_private', 'pointer_token', array['text'], 'sql');
select volatility_is('integrations_private', 'pointer_token', array['text'], 'immutable');
select isnt_definer('integrations_private', 'pointer_token', array['text']);
select function_owner_is(
  'integrations_private', 'pointer_token',
  array['text'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.pointer_token(text)', array[]::name[]);

select tests.as_owner();
select is(integrations_private.pointer_token(v.name), v.token, 'the token of ' || v.name)
from (
  values ('scopes', '/scopes'),
         ('', '/'),
         ('a/b', '/a~1b'),
         ('m~n', '/m~0n'),
         ('~1', '/~01'),
         ('é "', '/é "')
) as v (name, token);

select * from finish();
rollback;
