-- Deploy integrations:functions/check_config to pg
-- requires: schemas/integrations_private
-- requires: functions/numbers_are_short

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

create function integrations_private.check_config(config jsonb)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
begin
  if pg_catalog.jsonb_typeof(check_config.config) is distinct from 'object'
     -- Of so many bytes none has a short text, and to look into millions of values takes long.
     or pg_catalog.pg_column_size(check_config.config) > 524288
     -- Many a reader of JSON fails at deep nesting, and with it a list of all tenants' rows.
     or check_config.config @? '$.**{101}'
     or not integrations_private.numbers_are_short(check_config.config)
     or pg_catalog.octet_length(check_config.config::text) > 65536
  then
    raise exception 'config must be a JSON object of at most 64 KiB'
      using errcode = '22023',
            hint = 'Not nested over 100 levels; numbers count as written out.';
  end if;
end;
$function$;

alter function integrations_private.check_config(jsonb) owner to integrations_owner;

comment on function integrations_private.check_config(jsonb) is
$$Refuses a configuration that is not a JSON object, too large, or nested over 100 levels. Errors:
22023.$$;

revoke all on function integrations_private.check_config(jsonb) from public;

commit;
