-- Tests functions/month_of.
begin;
select plan(24);

select has_function('integrations_private', 'month_of', array['timestamp with time zone', 'integer']);
select is(
  pg_catalog.pg_get_function_arguments(
    'integrations_private.month_of(timestamp with time zone,integer)'::regprocedure
  ),
  'at timestamp with time zone, shift integer DEFAULT 0',
  'its parameters are called by these names'
);
select function_returns(
  'integrations_private', 'month_of',
  array['timestamp with time zone', 'integer'],
  'timestamp with time zone'
);
select function_lang_is(
  'integrations_private', 'month_of',
  array['timestamp with time zone', 'integer'],
  'sql'
);
select volatility_is(
  'integrations_private', 'month_of',
  array['timestamp with time zone', 'integer'],
  'stable'
);
select isnt_definer(
  'integrations_private', 'month_of',
  array['timestamp with time zone', 'integer']
);
select function_owner_is(
  'integrations_private', 'month_of',
  array['timestamp with time zone', 'integer'],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.month_of(timestamp with time zone,integer)',
  array['integrations_keymaster']
);


select tests.as_keymaster();
set local timezone = 'America/New_York';
select is(
  integrations_private.month_of(v.at::timestamptz, v.shift), v.expected::timestamptz,
  v.at || ' and ' || v.shift || ', while the session is in ' || pg_catalog.current_setting('timezone'))
from (
  values ('2026-11-22 15:00:00Z', 0, '2026-11-01 00:00:00Z'),
         ('2026-11-01 00:00:00Z', 0, '2026-11-01 00:00:00Z'),
         ('2026-10-31 23:59:59.999999Z', 0, '2026-10-01 00:00:00Z'),
         -- The clocks of New York change in November and in March.
         ('2026-10-31 12:00:00Z', 1, '2026-11-01 00:00:00Z'),
         ('2026-10-31 12:00:00Z', 2, '2026-12-01 00:00:00Z'),
         ('2026-02-28 12:00:00Z', 2, '2026-04-01 00:00:00Z'),
         ('2026-12-31 23:00:00Z', 1, '2027-01-01 00:00:00Z'),
         ('2027-01-01 00:00:00Z', -1, '2026-12-01 00:00:00Z'),
         ('2024-01-31 00:00:00Z', 1, '2024-02-01 00:00:00Z'),
         ('2024-03-31 00:00:00Z', -1, '2024-02-01 00:00:00Z'),
         ('2026-11-22 00:00:00Z', -24, '2024-11-01 00:00:00Z')
) as v (at, shift, expected);
set local timezone = 'Pacific/Kiritimati';
select is(
  integrations_private.month_of('2026-10-31 23:00:00Z'), '2026-10-01 00:00:00Z'::timestamptz,
  'where it is already November');
select is(
  integrations_private.month_of('2026-10-31 23:00:00Z', 1), '2026-11-01 00:00:00Z'::timestamptz,
  'a month later');
select is(
  integrations_private.month_of(null), null, 'of no time, none');
select is(
  integrations_private.month_of('infinity'), 'infinity'::timestamptz, 'and for ever is for ever');

select * from finish();
rollback;
