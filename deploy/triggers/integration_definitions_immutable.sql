-- Deploy integrations:triggers/integration_definitions_immutable to pg
-- requires: tables/integration_definitions
-- requires: schemas/integrations_private

begin;
set local search_path = pg_catalog, pg_temp;
set local lock_timeout = '5s';
set local statement_timeout = '60s';
set local quote_all_identifiers = off;

-- For every role, a superuser too: a definition that instances rely on never changes under them.
-- The comparison is of the stored images, so that neither NULL nor an equal-looking JSON number
-- slips by.
create function integrations_private.tg_integration_definitions__immutable()
returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $function$
declare
  v_expected integrations.integration_definitions;
begin
  if TG_OP = 'UPDATE' then
    v_expected := NEW;
    v_expected.status := OLD.status;
    v_expected.updated_at := OLD.updated_at;

    if v_expected *<> OLD then
      raise exception 'integration definition is immutable'
        using errcode = 'IN102',
              detail = pg_catalog.format('Definition %s.', OLD.id),
              hint = 'Register a new version of the connector instead.';
    end if;

    if NEW.status < OLD.status then
      raise exception 'status cannot move that way'
        using errcode = 'IN104',
              detail = pg_catalog.format('Definition %s is %s.', OLD.id, OLD.status),
              hint = 'A definition moves forward only: draft, published, deprecated, retired.';
    end if;

    return NEW;
  end if;

  if TG_OP = 'DELETE' and OLD.status = 'draft' then
    return OLD;
  end if;

  raise exception 'integration definition is immutable'
    using errcode = 'IN102',
          hint = 'Only a draft can be deleted. Set the status to retired instead.';
end;
$function$;

alter function integrations_private.tg_integration_definitions__immutable()
owner to integrations_owner;

comment on function integrations_private.tg_integration_definitions__immutable() is
$$Keeps definitions immutable: only status (forward) and updated_at change, only drafts are deleted.
Errors: IN102 definition is immutable, IN104 status cannot move that way.$$;

revoke all on function integrations_private.tg_integration_definitions__immutable() from public;

create trigger _100_immutable
before update or delete on integrations.integration_definitions
for each row execute function integrations_private.tg_integration_definitions__immutable();

comment on trigger _100_immutable on integrations.integration_definitions is
$$Refuses a change of a definition's metadata, a step back in its life, and the deletion of
anything but a draft.$$;

-- Row triggers do not fire for TRUNCATE.
create trigger _110_no_truncate
before truncate on integrations.integration_definitions
for each statement execute function integrations_private.tg_integration_definitions__immutable();

comment on trigger _110_no_truncate on integrations.integration_definitions is
$$Refuses to empty the catalogue.$$;

-- ALWAYS: also where session_replication_role is replica.
alter table integrations.integration_definitions enable always trigger _100_immutable;
alter table integrations.integration_definitions enable always trigger _110_no_truncate;

commit;
