-- Deploy integrations:functions/month_of to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- Months of UTC, whatever the session's time zone is: a month that is added to a timestamptz is one
-- of that zone.
create function integrations_private.month_of(at timestamptz, shift integer default 0)
returns timestamptz
language sql
stable
parallel safe
return (pg_catalog.date_trunc('month', month_of.at at time zone 'UTC')
        + month_of.shift * interval '1 month') at time zone 'UTC';

alter function integrations_private.month_of(timestamptz, integer) owner to integrations_owner;

comment on function integrations_private.month_of(timestamptz, integer) is
$$The beginning, in UTC, of the month in which a time lies, or of a month before or after it.$$;

revoke all on function integrations_private.month_of(timestamptz, integer) from public;
grant execute on function integrations_private.month_of(timestamptz, integer)
to integrations_keymaster;

commit;
