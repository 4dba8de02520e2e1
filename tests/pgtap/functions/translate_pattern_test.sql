-- Tests functions/translate_pattern.
begin;
select plan(60);

select has_function('integrations_private', 'translate_pattern', array['text']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.translate_pattern(text)'::regprocedure
  ),
  'pattern text, OUT translated text, OUT start_cost integer, OUT length_cost integer, '
    || 'OUT refusal text',
  'its parameters are called by these names'
);
select function_returns('integrations_private', 'translate_pattern', array['text'], 'record');
select function_lang_is('integrations_private', 'translate_pattern', array['text'], 'plpgsql');
select volatility_is('integrations_private', 'translate_pattern', array['text'], 'immutable');
select isnt_definer('integrations_private', 'translate_pattern', array['text']);
select function_owner_is(
  'integrations_private', 'translate_pattern',
  array['text'],
  'integrations_owner'
);
select tests.executable_by('integrations_private.translate_pattern(text)', array[]::name[]);

select tests.as_owner();
-- What ECMA means is tested in tests/python/api/schemas; here, what is written.
select is(
  (integrations_private.translate_pattern(v.pattern)).translated, v.translated,
  v.pattern || ' is translated')
from (
  values ('', ''),
         ('^[A-Za-z0-9_-]+$', '^[A-Za-z0-9\_\-]+$'),
         ('a(b|c)*?d??', 'a(?:b|c)*d?'),
         ('.', '[^\n\r\u2028\u2029]'),
         ('^\d{2,4}?\D', '^[\d]{2,4}[\D]'),
         ('\bx\B', '\yx\Y'),
         ('[\b]', '[\U00000008]'),
         ('\x41\u0042\u{43}\cA\t', 'ABC\U00000001\U00000009'),
         ('\ud83d\ude00', '\U0001f600'),
         ('{}]{,2}', '\{\}\]\{\,2\}'),
         ('[[:alpha:]]', '[\[\:alpha\:]\]'),
         ('[\w-.]', '[\w\-\.]'),
         ('[-a]', '[\-a]'),
         ('^(?=.*\d)(?!x)y', '^(?=[^\n\r\u2028\u2029]*[\d])(?!x)y')
) as v (pattern, translated);
select results_eq(
  pg_catalog.format(
    $$
      select translated, start_cost, length_cost, refusal
        from integrations_private.translate_pattern(%L)
    $$,
    v.pattern),
  pg_catalog.format('values (null::text, null::integer, null::integer, %L)', v.refusal),
  v.pattern || ' is refused')
from (
  values ('(a)\1', 'back-references are not supported'),
         ('\k<n>', 'back-references are not supported'),
         ('\p{L}', 'Unicode properties are not supported'),
         ('\A', '\A is not supported'),
         ('[\B]', '\B is not supported'),
         ('\00', 'octal escapes are not supported'),
         ('\ud800', '\ud800 is not a character'),
         ('\u{110000}', '\u{110000} is not a character'),
         ('\xg0', '\xg0 is not a character'),
         ('a\', 'it ends in a backslash'),
         ('(?<n>a)', 'groups that begin with (?<n are not supported'),
         ('(?<=a)b', 'groups that begin with (?<= are not supported'),
         ('(?i)a', 'groups that begin with (?i are not supported'),
         ('a(?=b)', 'look-ahead is supported only at the beginning, directly after ^'),
         ('(?=b)', 'look-ahead is supported only at the beginning, directly after ^'),
         ('^(?=a(?=b))', 'look-ahead is supported only at the beginning, directly after ^'),
         ('^(?=a)*', '* repeats nothing'),
         ('*a', '* repeats nothing'),
         ('a**', '* repeats nothing'),
         ('a{2}{3}', '{3} repeats nothing'),
         ('(|*)', '* repeats nothing'),
         ('^*', '* repeats nothing'),
         ('***=a', '* repeats nothing'),
         ('a{256}', 'a count is over 255'),
         ('a{1,1000000}', 'a count is over 255'),
         ('a{3,2}', '{3,2} ends before it begins'),
         ('[]', 'an empty class is not supported'),
         ('[^]', 'an empty class is not supported'),
         ('[z-a]', 'a range of characters ends before it begins'),
         ('[a', 'a class does not end'),
         ('(a', 'a group does not end'),
         ('a)', 'a parenthesis closes nothing'),
         ('((a{9}){9}){19}', 'it is too complex'),
         ('(a?){250}(b?){250}', 'it is too complex')
) as v (pattern, refusal);
select is(
  (integrations_private.translate_pattern(pg_catalog.repeat('a', 1000))).refusal, null,
  'a thousand characters pass');
select is(
  (integrations_private.translate_pattern(pg_catalog.repeat('a', 1001))).refusal,
  'it has more than 1000 characters', 'not one more');
select is(
  (integrations_private.translate_pattern(
    pg_catalog.repeat('(', 21) || pg_catalog.repeat(')', 21))).refusal,
  'groups are nested over 20 levels', 'groups nest so deep');

select * from finish();
rollback;
