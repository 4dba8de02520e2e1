-- Deploy integrations:functions/find_reference to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

create function integrations_private.find_reference(
  reference text,
  schema jsonb,
  out pointer text,
  out target jsonb,
  out refusal text
)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_token text;
begin
  if reference !~ '^#' then
    refusal := 'only references within the schema (#/...) are supported';
    return;
  end if;

  -- A fragment of an address: %25 stands for %.
  begin
    select pg_catalog.convert_from(
             coalesce(
               pg_catalog.string_agg(
                 case
                   when pg_catalog.length(m.piece[1]) = 3
                     then pg_catalog.decode(pg_catalog.substr(m.piece[1], 2), 'hex')
                   else pg_catalog.convert_to(m.piece[1], 'UTF8')
                 end,
                 '' order by m.position),
               ''),
             'UTF8')
      into pointer
      from pg_catalog.regexp_matches(pg_catalog.substr(reference, 2), '%[0-9a-fA-F]{2}|.', 'g')
           with ordinality as m (piece, position);
  exception when character_not_in_repertoire or untranslatable_character then
    pointer := null;
  end;

  if pointer !~ '^(?:/(?:[^~/]|~[01])*)*$' or pointer is null then
    pointer := null;
    refusal := 'the fragment of a reference must be a JSON pointer';
    return;
  end if;

  target := schema;
  foreach v_token in array (pg_catalog.string_to_array(pointer, '/'))[2:] loop
    v_token := pg_catalog.replace(pg_catalog.replace(v_token, '~1', '/'), '~0', '~');
    target := case
      when pg_catalog.jsonb_typeof(target) = 'object' then target -> v_token
      when pg_catalog.jsonb_typeof(target) = 'array' and v_token ~ '^(?:0|[1-9][0-9]{0,5})$'
        then target -> v_token::integer
    end;
  end loop;

  if target is null then
    refusal := 'the reference leads nowhere';
  end if;
end;
$function$;

alter function integrations_private.find_reference(text, jsonb) owner to integrations_owner;

comment on function integrations_private.find_reference(text, jsonb) is
$$Where a $ref leads within its schema, as a JSON pointer, and what is there; or why it is
refused.$$;

revoke all on function integrations_private.find_reference(text, jsonb) from public;

commit;
