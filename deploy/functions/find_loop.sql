-- Deploy integrations:functions/find_loop to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- Depth first, with a stack of its own: a chain of references may be longer than the server's
-- stack is deep.
create function integrations_private.find_loop(edges jsonb[])
returns integer
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_states integer[] := pg_catalog.array_fill(0, array[pg_catalog.cardinality(edges)]);
  v_path integer[] := array[]::integer[];
  v_next integer[] := array[]::integer[];    -- of each node of the path, the edge to follow
  v_depth integer;
  v_node integer;
begin
  for v_start in 1 .. pg_catalog.cardinality(edges) loop
    continue when v_states[v_start] <> 0;
    v_depth := 1;
    v_path[1] := v_start;
    v_next[1] := 0;
    v_states[v_start] := 1;                  -- 1 is on the path, 2 is done
    while v_depth > 0 loop
      v_node := (edges[v_path[v_depth]] -> v_next[v_depth])::integer + 1;
      v_next[v_depth] := v_next[v_depth] + 1;
      if v_node is null then
        v_states[v_path[v_depth]] := 2;
        v_depth := v_depth - 1;
      elsif v_states[v_node] = 1 then
        return v_node;
      elsif v_states[v_node] = 0 then
        v_states[v_node] := 1;
        v_depth := v_depth + 1;
        v_path[v_depth] := v_node;
        v_next[v_depth] := 0;
      end if;
    end loop;
  end loop;

  return null;
end;
$function$;

alter function integrations_private.find_loop(jsonb[]) owner to integrations_owner;

comment on function integrations_private.find_loop(jsonb[]) is
$$A member, counted from 1, of a loop in a graph; NULL where there is none. Each element has the
numbers, counted from 0, that an edge leads to.$$;

revoke all on function integrations_private.find_loop(jsonb[]) from public;

commit;
