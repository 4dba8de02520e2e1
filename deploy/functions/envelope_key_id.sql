-- Deploy integrations:functions/envelope_key_id to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- What a table's generated column is made of, and so what is looked at when credentials change, and
-- only then: a check of the table would be prepared and made again at every UPDATE of a row. The
-- cast is guarded, because its error would quote what somebody put there in plaintext.
create function integrations_private.envelope_key_id(envelope jsonb)
returns uuid
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
begin
  return
    case
      when envelope @> '{"v": 1}'
           and envelope - array['v', 'key', 'version', 'ct', 'mac'] = '{}'
           and pg_catalog.jsonb_typeof(envelope -> 'version') = 'number'
           and pg_catalog.jsonb_typeof(envelope -> 'ct') = 'string'
           and pg_catalog.jsonb_typeof(envelope -> 'mac') = 'string'
           and pg_catalog.octet_length(envelope ->> 'ct') <= 131072
           and envelope ->> 'key' ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        then (envelope ->> 'key')::uuid
    end;
end;
$function$;

alter function integrations_private.envelope_key_id(jsonb) owner to integrations_owner;

comment on function integrations_private.envelope_key_id(jsonb) is
$$Returns the tenant key that an encrypted envelope of format 1 names; NULL for whatever else.$$;

revoke all on function integrations_private.envelope_key_id(jsonb) from public;

commit;
