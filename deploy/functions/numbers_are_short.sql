-- Deploy integrations:functions/numbers_are_short to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- 1e131071 is eight characters, and is kept in a few bytes; PostgreSQL writes it with all of its
-- 131072 digits, in a jsonb, too, so that a document of 64 KiB may become almost a gigabyte. One
-- number at a time, and by assignments alone: the document may be credentials.
create function integrations_private.numbers_are_short(document jsonb)
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_numbers jsonb;
  v_length integer := 0;
begin
  -- Strict, or what stands in an array would be counted twice.
  v_numbers := pg_catalog.jsonb_path_query_array(
    document, 'strict $.** ? (@.type() == "number")');

  for n in 0..coalesce(pg_catalog.jsonb_array_length(v_numbers), 0) - 1 loop
    v_length := v_length + pg_catalog.octet_length(v_numbers ->> n);
    if v_length > 65536 then
      return false;
    end if;
  end loop;

  return true;
end;
$function$;

alter function integrations_private.numbers_are_short(jsonb) owner to integrations_owner;

comment on function integrations_private.numbers_are_short(jsonb) is
$$Tells whether the numbers of a document, written with all of their digits, take at most 64 KiB
together.$$;

revoke all on function integrations_private.numbers_are_short(jsonb) from public;

commit;
