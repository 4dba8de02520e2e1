-- Deploy integrations:functions/examine_connections to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Settings of the server's start come as arguments, so that a test can say them.
create function integrations_private.examine_connections(ssl boolean, listen_addresses text)
returns table (
  check_name text,
  status text,
  detail text
)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_status text := 'fail';
  v_found text;
  v_advice text :=
    'Keys and credentials travel in plaintext. Set ssl to on, and use hostssl in pg_hba.conf.';
  v_fine text := 'Clients on other machines come in by TLS only.';
begin
  if not exists (
    select
      from pg_catalog.string_to_table(examine_connections.listen_addresses, ',') as a (address)
     where pg_catalog.btrim(a.address) not in ('', 'localhost', '127.0.0.1', '::1'))
  then
    v_fine := 'The server listens on this machine only.';
  elsif not ssl then
    v_found := 'ssl = off, listen_addresses = ' || listen_addresses;
  elsif not (pg_catalog.has_table_privilege('pg_catalog.pg_hba_file_rules', 'select')
             and pg_catalog.has_function_privilege('pg_catalog.pg_hba_file_rules()', 'execute'))
  then
    v_status := 'warn';
    v_advice := 'Whether TLS is required cannot be seen by this role. Ask a DBA whether'
                ' pg_hba.conf has host or hostnossl lines for others than this machine; they should'
                ' be hostssl.';
    v_found := 'no privilege on pg_hba_file_rules';
  else
    v_status := 'warn';
    v_advice := 'pg_hba.conf lets clients in without TLS. Make these lines hostssl.';
    v_found := (
      select pg_catalog.string_agg('line ' || h.line_number, ', ' order by h.line_number)
        from pg_catalog.pg_hba_file_rules as h
       where h.type in ('host', 'hostnossl', 'hostnogssenc')
         and h.auth_method <> 'reject'
         and h.database <> array['replication']
         and h.address !~ '^(127[.].*|::1|localhost|samehost)$');
  end if;

  return query
    select c.check_name, case when c.found is null then 'ok' else c.status end,
           coalesce(c.advice || ' Found: ' || c.found || '.', c.fine)
      from (values ('tls', v_status, v_found, v_advice, v_fine))
           as c (check_name, status, found, advice, fine);
end;
$function$;

alter function integrations_private.examine_connections(boolean, text) owner to integrations_owner;

comment on function integrations_private.examine_connections(boolean, text) is
$$Tells whether keys and credentials may travel without TLS. Called through doctor.$$;

revoke all on function integrations_private.examine_connections(boolean, text) from public;
grant execute on function integrations_private.examine_connections(boolean, text)
to integrations_keymaster;

commit;
