-- Deploy integrations:functions/items_are_unique to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- No query, which auto_explain would log with the values, and not each item with each other: equal
-- JSON has equal hashes, also 1 and 1.0. A hash is not secret enough to be trusted, so what has
-- the same one is compared.
create function integrations_private.items_are_unique(items jsonb)
returns boolean
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_count constant integer := pg_catalog.jsonb_array_length(items);
  v_hashes text[] := array[]::text[];
  v_places text[] := array[]::text[];
  v_last jsonb;
  v_other integer;
  v_passed integer := 0;
begin
  for v_i in 0 .. v_count - 1 loop
    v_hashes[v_i + 1] := pg_catalog.jsonb_hash_extended(items -> v_i, 0)::text;
    v_places[v_i + 1] := v_i::text;
  end loop;

  -- For each hash, where it stands last: of equal keys jsonb_object keeps the last one.
  v_last := pg_catalog.jsonb_object(v_hashes, v_places);

  for v_i in 0 .. v_count - 1 loop
    v_other := (v_last ->> v_hashes[v_i + 1])::integer;
    while v_other > v_i loop
      if items -> v_i = items -> v_other then
        return false;
      end if;

      -- The hash of different values. Nobody has them but who looks for them, so the way to the
      -- next one of that hash counts, too.
      loop
        v_other := v_other - 1;
        v_passed := v_passed + 1;
        if v_passed > 1000 then
          raise exception 'too many items of an array have the same hash'
            using errcode = 'program_limit_exceeded';
        end if;
        exit when v_other = v_i or v_hashes[v_other + 1] = v_hashes[v_i + 1];
      end loop;
    end loop;
  end loop;

  return true;
end;
$function$;

alter function integrations_private.items_are_unique(jsonb) owner to integrations_owner;

comment on function integrations_private.items_are_unique(jsonb) is
$$Whether a JSON array has no item twice. Errors: 54000 too many items of one hash.$$;

revoke all on function integrations_private.items_are_unique(jsonb) from public;

commit;
