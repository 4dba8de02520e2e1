-- Deploy integrations:functions/credentials_expire_at to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- A value that makes no sense is none: the credentials are stored all the same, and nothing of
-- them is echoed. Eleven digits of seconds reach the year 5138; more are milliseconds by mistake.
-- Nor does the zero time of some languages make sense, or what is before year 1 or after 9999 in
-- some time zone: drivers cannot read it, and one tenant's would end the list of all that is due.
create function integrations_private.credentials_expire_at(credentials jsonb)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_at constant text := credentials ->> 'expires_at';
  v_in constant text := credentials ->> 'expires_in';
  v_now constant timestamptz := pg_catalog.clock_timestamp();
begin
  if v_at ~ (
       '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?'
       || '([Zz]|[+-][0-9]{2}:[0-9]{2})$')
  then
    if v_at::timestamptz between timestamptz '0001-01-03 00:00:00Z'
                             and timestamptz '9999-12-30 00:00:00Z'
    then
      return v_at::timestamptz;
    end if;
  elsif v_at ~ '^[0-9]{1,11}([.][0-9]+)?$' then
    return pg_catalog.to_timestamp(v_at::double precision);
  elsif v_at is null and v_in ~ '^[0-9]{1,11}([.][0-9]+)?$' then
    return v_now + pg_catalog.make_interval(secs => v_in::double precision);
  end if;

  return null;
exception when others then
  return null;
end;
$function$;

alter function integrations_private.credentials_expire_at(jsonb) owner to integrations_owner;

comment on function integrations_private.credentials_expire_at(jsonb) is
$$When credentials expire: expires_at (RFC 3339 or epoch seconds), else now plus expires_in seconds,
else NULL; NULL for a bad value.$$;

revoke all on function integrations_private.credentials_expire_at(jsonb) from public;

commit;
