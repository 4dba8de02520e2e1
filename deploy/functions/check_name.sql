-- Deploy integrations:functions/check_name to pg
-- requires: schemas/integrations_private
-- requires: roles/integrations_keymaster

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

create function integrations_private.check_name(name text, what text default 'name')
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
begin
  if check_name.name !~ '[^[:space:]]' or pg_catalog.char_length(check_name.name) > 200
     or check_name.name is null
  then
    raise exception '% must have 1 to 200 characters, not all blank', what using errcode = '22023';
  end if;
end;
$function$;

alter function integrations_private.check_name(text, text) owner to integrations_owner;

comment on function integrations_private.check_name(text, text) is
$$Refuses a name that an instance, a KEK or a worker cannot have. Errors: 22023.$$;

revoke all on function integrations_private.check_name(text, text) from public;
grant execute on function integrations_private.check_name(text, text) to integrations_keymaster;

commit;
