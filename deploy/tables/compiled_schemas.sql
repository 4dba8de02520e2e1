-- Deploy integrations:tables/compiled_schemas to pg
-- requires: tables/integration_definitions
-- requires: functions/compile_schema

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';

-- So that storing credentials does not read their schema anew. Nobody can write other rules than a
-- schema's own: they are generated from it. And they are used only while it equals the
-- definition's: a row that is missing or was changed costs time, and changes no answer. No tenant
-- data, so no row-level security; and no grants: only definer functions come here.
create table integrations_private.compiled_schemas (
  definition_id uuid not null,
  kind text not null,
  schema jsonb not null,
  rules jsonb not null
    generated always as (integrations_private.compile_schema(schema, kind || '_schema')) stored,

  constraint compiled_schemas_pkey primary key (definition_id, kind),
  constraint compiled_schemas_definition_id_fkey
    foreign key (definition_id) references integrations.integration_definitions (id)
    on delete cascade,
  constraint compiled_schemas_kind_is_known check (kind in ('credentials', 'config'))
);

alter table integrations_private.compiled_schemas owner to integrations_owner;
revoke all on integrations_private.compiled_schemas from public;

comment on table integrations_private.compiled_schemas is
$$The schemas of definitions in the form that documents are checked with. A definition without a row
takes every document, or is compiled when it is used.$$;
comment on column integrations_private.compiled_schemas.definition_id is
$$The definition.$$;
comment on column integrations_private.compiled_schemas.kind is
$$Which of its schemas: credentials or config.$$;
comment on column integrations_private.compiled_schemas.schema is
$$The schema that was compiled, the definition's own.$$;
comment on column integrations_private.compiled_schemas.rules is
$$What compile_schema makes of it.$$;
comment on constraint compiled_schemas_definition_id_fkey
on integrations_private.compiled_schemas is
$$The rules of a draft go with it.$$;
comment on constraint compiled_schemas_kind_is_known
on integrations_private.compiled_schemas is
$$A definition has two schemas.$$;

commit;
