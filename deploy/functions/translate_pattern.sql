-- Deploy integrations:functions/translate_pattern to pg
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- A pattern is a regular expression of ECMA-262, matched by PostgreSQL under the collation "C",
-- where \d and \w are ASCII as they are there. What both engines mean alike passes, what can be
-- written otherwise is, and the rest is refused. Neither the reading of a pattern nor a match takes
-- long: nothing goes back (no back-references), look-ahead runs once, states are counted. Reading
-- takes the cube of what is tangled, a match the product of states and characters. Reading counts
-- each time: a server keeps 32 patterns only.
create function integrations_private.translate_pattern(
  pattern text,
  out translated text,
  out start_cost integer,
  out length_cost integer,
  out refusal text
)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $function$
declare
  -- E, because the session that compiles this may have standard_conforming_strings off.
  v_space constant text :=
    E'\\u0009-\\u000d\\u0020\\u00a0\\u1680\\u2000-\\u200a'
    || E'\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff';
  v_not_space constant text :=
    E'\\u0001-\\u0008\\u000e-\\u001f\\u0021-\\u009f\\u00a1-\\u167f'
    || E'\\u1681-\\u1fff\\u200b-\\u2027\\u202a-\\u202e'
    || E'\\u2030-\\u205e\\u2060-\\u2fff\\u3001-\\ufefe\\uff00-\\U0010ffff';
  v_escape constant text :=
    E'\\\\u[dD][89abAB]..\\\\u[dD][c-fC-F]..|\\\\u\\{[^}]*\\}|\\\\u....|\\\\x..|\\\\c.|\\\\.';
  v_rest text := pattern;
  v_token text;
  v_hex text[];
  v_code integer;                            -- the character that the token stands for, if one
  v_set text;                                -- the set that it stands for, such as \d, if one
  v_piece text;
  v_sizes integer[] := array[0];             -- how many states each open group has so far
  v_looks boolean[] := array[false];         -- whether each of them is a look-ahead
  v_depth integer := 1;
  v_tangles integer := 0;                    -- what may be left out, and copies of groups
  v_atom integer := 0;                       -- states that a quantifier here would repeat
  v_wides integer[] := array[0];             -- how many classes are among the states of each group
  v_wide integer := 0;                       -- and among those that a quantifier would repeat
  v_seen integer[] := array[]::integer[];    -- different characters
  v_arcs bigint;
  v_is_group boolean;
  v_is_head boolean := true;                 -- only ^ and look-aheads so far
  v_in_class boolean := false;
  v_last integer;                            -- in a class, what could begin a range
  v_first integer;                           -- in a class, what has begun one
  v_least integer;
  v_most integer;
  v_copies integer;                          -- what a quantifier adds to the size
  v_ways integer;
begin
  if pg_catalog.char_length(pattern) > 1000 then
    refusal := 'it has more than 1000 characters';
    return;
  end if;

  translated := '';
  while v_rest <> '' loop
    v_token := pg_catalog.substring(
      v_rest,
      case
        when v_in_class then '^(?:' || v_escape || '|.)'
        else '^(?:' || v_escape || E'|\\(\\?<?.?|\\{[0-9]+(?:,[0-9]*)?\\}\\??|\\[\\^?|[*+?]\\??|.)'
      end);
    v_rest := pg_catalog.substr(v_rest, pg_catalog.char_length(v_token) + 1);

    v_code := null;
    v_set := null;
    if v_token = E'\\' then
      refusal := 'it ends in a backslash';
    elsif v_token ~ E'^\\\\[uxc].' then
      v_hex := pg_catalog.regexp_match(
        v_token,
        E'^\\\\(?:u\\{([0-9a-fA-F]{1,6})\\}|u([0-9a-fA-F]{4})(?:\\\\u([0-9a-fA-F]{4}))?'
        || '|x([0-9a-fA-F]{2})|c([a-zA-Z]))$');
      v_code := case
        when v_hex[5] is not null then pg_catalog.ascii(v_hex[5]) & 31
        when v_hex[3] is not null then
          65536 + ((('x0000' || v_hex[2])::bit(32)::integer & 1023) << 10)
          + (('x0000' || v_hex[3])::bit(32)::integer & 1023)
        else
          ('x' || pg_catalog.lpad(coalesce(v_hex[1], v_hex[2], v_hex[4]), 8, '0'))
          ::bit(32)::integer
      end;
      if v_code is null or v_code > 1114111 or v_code between 55296 and 57343 then
        refusal := pg_catalog.format('%s is not a character', v_token);
      end if;
    elsif v_token ~ E'^\\\\[tnvfr0]$' or (v_token = E'\\b' and v_in_class) then
      v_code := (array[9, 10, 11, 12, 13, 0, 8])[
        pg_catalog.strpos('tnvfr0b', pg_catalog.right(v_token, 1))];
      if v_code = 0 and v_rest ~ '^[0-9]' then
        refusal := 'octal escapes are not supported';
      end if;
    elsif v_token in (E'\\d', E'\\D', E'\\w', E'\\W') then
      v_set := v_token;
    elsif v_token = E'\\s' then
      v_set := v_space;
    elsif v_token = E'\\S' then
      v_set := v_not_space;
    elsif v_token ~ E'^\\\\[1-9k]$' then
      refusal := 'back-references are not supported';
    elsif v_token ~ E'^\\\\[pP]$' then
      refusal := 'Unicode properties are not supported';
    elsif v_token ~ E'^\\\\[a-zA-Z]$' then
      if v_in_class or v_token not in (E'\\b', E'\\B') then
        refusal := pg_catalog.format('%s is not supported', v_token);
      end if;
    elsif v_token ~ E'^\\\\' then
      v_code := pg_catalog.ascii(pg_catalog.right(v_token, 1));
    elsif pg_catalog.char_length(v_token) = 1
          and pg_catalog.strpos(case when v_in_class then ']-' else '.^$|()[*+?' end, v_token) = 0
    then
      v_code := pg_catalog.ascii(v_token);
    end if;

    v_piece := case
      when v_code between 48 and 57 or v_code between 65 and 90 or v_code between 97 and 122
        then pg_catalog.chr(v_code)
      when v_code between 32 and 126 then E'\\' || pg_catalog.chr(v_code)
      else E'\\U' || pg_catalog.lpad(pg_catalog.to_hex(v_code), 8, '0')
    end;

    if v_in_class then
      if v_token = ']' then
        v_piece := ']';
        v_in_class := false;
        v_is_group := false;
        v_atom := 1;
        v_wide := 1;
        v_sizes[v_depth] := v_sizes[v_depth] + 1;
        v_wides[v_depth] := v_wides[v_depth] + 1;
      elsif v_token = '-' and v_last is not null and v_first is null and v_rest !~ E'^\\]' then
        v_piece := '';
        v_first := v_last;
      else
        if v_token = '-' then
          v_code := 45;
          v_piece := E'\\-';
        end if;
        if v_code < v_first then
          refusal := 'a range of characters ends before it begins';
        end if;
        -- Before a set, as in [a-\d], it is a hyphen.
        v_piece := case when v_first is null then ''
                        when v_set is null then '-'
                        else E'\\-' end
                   || coalesce(v_set, v_piece);
        v_last := case when v_first is null then v_code end;
        v_first := null;
      end if;
    elsif v_token in ('[', '[^') then
      v_piece := v_token;
      v_in_class := true;
      v_last := null;
      if v_rest ~ E'^\\]' then
        refusal := 'an empty class is not supported';
      end if;
    elsif v_token ~ E'^\\(' then
      v_piece := case when v_token = '(' then '(?:' else v_token end;
      if v_piece in ('(?=', '(?!') and (not v_is_head or v_depth > 1 or translated = '') then
        refusal := 'look-ahead is supported only at the beginning, directly after ^';
      elsif v_piece not in ('(?:', '(?=', '(?!') then
        refusal := pg_catalog.format('groups that begin with %s are not supported', v_token);
      elsif v_depth > 20 then
        refusal := 'groups are nested over 20 levels';
      end if;
      v_depth := v_depth + 1;
      v_sizes[v_depth] := 0;
      v_wides[v_depth] := 0;
      v_looks[v_depth] := v_piece <> '(?:';
      v_atom := 0;
    elsif v_token = ')' then
      if v_depth = 1 then
        refusal := 'a parenthesis closes nothing';
      else
        v_piece := ')';
        v_depth := v_depth - 1;
        v_is_group := true;
        -- Nothing repeats a look-ahead.
        v_atom := case when v_looks[v_depth + 1] then 0 else v_sizes[v_depth + 1] + 1 end;
        v_sizes[v_depth] := v_sizes[v_depth] + v_sizes[v_depth + 1] + 1;
        v_wide := v_wides[v_depth + 1];
        v_wides[v_depth] := v_wides[v_depth] + v_wide;
      end if;
    elsif v_token ~ E'^(?:[*+?]|\\{.)' then
      v_least := pg_catalog.substring(v_token, '([0-9]{1,5})')::integer;
      v_most := pg_catalog.substring(v_token, ',([0-9]{1,5})')::integer;
      if v_atom = 0 then
        refusal := pg_catalog.format('%s repeats nothing', v_token);
      elsif greatest(v_least, v_most) > 255 then
        refusal := 'a count is over 255';
      elsif v_most < v_least then
        refusal := pg_catalog.format('%s ends before it begins', v_token);
      end if;
      -- A shy quantifier finds other matches, but neither more nor fewer.
      v_piece := pg_catalog.regexp_replace(v_token, E'(.)\\?$', E'\\1');
      v_copies := v_atom * (greatest(v_least, v_most, 1) - 1);
      v_ways := case when v_token ~ '^[*?]|,' then 3 else 0 end;
      v_sizes[v_depth] := v_sizes[v_depth] + v_copies + v_ways;
      v_wides[v_depth] := v_wides[v_depth] + v_wide * (greatest(v_least, v_most, 1) - 1);
      v_tangles := v_tangles + v_ways + case when v_is_group then v_copies else 0 end;
      v_atom := 0;
    elsif v_token in ('^', '$', '|', E'\\b', E'\\B') then
      v_piece := case v_token when E'\\b' then E'\\y' when E'\\B' then E'\\Y' else v_token end;
      v_atom := 0;
    else
      v_piece := case
        when v_token = '.' then E'[^\\n\\r\\u2028\\u2029]'
        when v_set is not null then '[' || v_set || ']'
        else v_piece
      end;
      v_is_group := false;
      v_atom := 1;
      v_wide := (v_token = '.' or v_set is not null)::integer;
      v_sizes[v_depth] := v_sizes[v_depth] + 1;
      v_wides[v_depth] := v_wides[v_depth] + v_wide;
    end if;

    if v_code is not null and v_code <> all (v_seen) then
      v_seen[pg_catalog.cardinality(v_seen) + 1] := v_code;
    end if;

    if refusal is null and (v_sizes[v_depth] > 1000 or v_tangles > 250) then
      refusal := 'it is too complex';
    end if;
    if refusal is not null then
      translated := null;
      return;
    end if;

    translated := translated || v_piece;
    v_is_head := v_is_head and (translated = '^' or v_looks[2] and (v_depth > 1 or v_token = ')'));
  end loop;

  -- A class has an arc for each character that the pattern tells apart from others, and what may be
  -- left out copies them: [^a]? seventy times before 500 characters takes a minute.
  v_arcs := v_wides[1]::bigint * (v_tangles + 4) * (pg_catalog.cardinality(v_seen) + 6);
  start_cost :=
    v_sizes[1] / 20 + v_tangles * v_tangles / 10 + (greatest(v_arcs - 10000, 0) / 200)::integer + 1;
  length_cost := v_sizes[1] + 1;
  refusal := case when v_in_class then 'a class does not end'
                  when v_depth > 1 then 'a group does not end'
                  when v_arcs > 100000 then 'it is too complex' end;

  -- The engine has the last word.
  begin
    if refusal is null and '' ~ (translated collate pg_catalog."C") then
      null;
    end if;
  exception when invalid_regular_expression then
    refusal := 'PostgreSQL cannot read it';
  end;
  if refusal is not null then
    translated := null;
    start_cost := null;
    length_cost := null;
  end if;
end;
$function$;

alter function integrations_private.translate_pattern(text) owner to integrations_owner;

comment on function integrations_private.translate_pattern(text) is
$$The PostgreSQL form of a pattern of JSON Schema, and what it costs, in steps of a check; or
why it is refused.$$;

revoke all on function integrations_private.translate_pattern(text) from public;

commit;
