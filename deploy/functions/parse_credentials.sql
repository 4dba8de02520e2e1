-- Deploy integrations:functions/parse_credentials to pg
-- requires: schemas/integrations_private
-- requires: functions/numbers_are_short

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- The server's own error for malformed JSON quotes the malformed part, to the client and into the
-- log. So the text is parsed here, in a block that keeps the cause to itself.
create function integrations_private.parse_credentials(credentials text)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_credentials jsonb;
begin
  if parse_credentials.credentials is null then
    raise exception 'credentials must not be null' using errcode = '22023';
  end if;

  if pg_catalog.octet_length(parse_credentials.credentials) <= 65536 then
    begin
      v_credentials := parse_credentials.credentials::jsonb;
      -- What nests near the limit of this session's stack could not be read back in a deeper one.
      if v_credentials @? '$.**{101}' then
        v_credentials := null;
      -- Nothing else makes it longer than it came. Most have no exponent of two digits.
      elsif parse_credentials.credentials ~ '[0-9][eE][-+]?[0-9]{2}'
            and not integrations_private.numbers_are_short(v_credentials)
      then
        v_credentials := null;
      end if;
    exception when others then
      v_credentials := null;
    end;
  end if;

  if pg_catalog.jsonb_typeof(v_credentials) is distinct from 'object' then
    raise exception 'credentials must be a JSON object of at most 64 KiB'
      using errcode = 'IN305',
            hint = 'Text in JSON form, without U+0000, not nested over 100 levels; numbers count as'
                   ' written out.';
  end if;

  return v_credentials;
end;
$function$;

alter function integrations_private.parse_credentials(text) owner to integrations_owner;

comment on function integrations_private.parse_credentials(text) is
$$Returns credentials as JSON. Errors: 22023 null, IN305 not a JSON object, over 64 KiB, or nested
over 100 levels.$$;

revoke all on function integrations_private.parse_credentials(text) from public;

commit;
