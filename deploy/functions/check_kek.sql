-- Deploy integrations:functions/check_kek to pg
-- requires: functions/check_name
-- requires: functions/kek_check_value
-- requires: tables/key_encryption_keys

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

create function integrations_private.check_kek(kek_id text, kek bytea)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_stored bytea;
begin
  perform integrations_private.check_name(check_kek.kek_id, 'kek_id');
  if kek is null or pg_catalog.octet_length(kek) <> 32 then
    raise exception 'kek must be 32 bytes' using errcode = '22023';
  end if;

  select k.check_value into v_stored
    from integrations_private.key_encryption_keys as k
   where k.kek_id = check_kek.kek_id;

  -- Without a check value the name is that of a KEK that never comes to the database.
  if found
     and v_stored is distinct from integrations_private.kek_check_value(check_kek.kek_id, kek)
  then
    raise exception 'wrong key-encryption key'
      using errcode = 'IN303',
            detail = pg_catalog.format('KEK %s.', check_kek.kek_id),
            hint = 'A kek_id names one key for ever. Check which key the service holds under it.';
  end if;

  return v_stored is not null;
end;
$function$;

alter function integrations_private.check_kek(text, bytea) owner to integrations_owner;

comment on function integrations_private.check_kek(text, bytea) is
$$Refuses a KEK that is malformed, or other than the one known by its name; returns whether the name
is known. Errors: 22023, IN303.$$;

revoke all on function integrations_private.check_kek(text, bytea) from public;
grant execute on function integrations_private.check_kek(text, bytea) to integrations_keymaster;

commit;
