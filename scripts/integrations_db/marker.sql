-- Made only while a script runs that no transaction can hold, and dropped when the last such script
-- is recorded. It stays outside the schema of the registry, which other tools read.
create table integrations_db.unfinished_scripts (
  registry text not null,
  project text not null,
  change_id text not null,
  change text not null,
  action text not null check (action in ('deploy', 'revert')),
  script text not null,
  script_hash text,
  application_name text not null,
  started_at timestamptz not null default pg_catalog.clock_timestamp(),
  started_by text not null,
  outcome text,
  primary key (registry, project, change_id)
);
comment on table integrations_db.unfinished_scripts is
  'Scripts that integrations-db started outside a transaction and has not recorded yet.';
comment on column integrations_db.unfinished_scripts.registry is
  'Schema of the registry that is to record the change.';
comment on column integrations_db.unfinished_scripts.project is 'Project of the change.';
comment on column integrations_db.unfinished_scripts.change_id is 'ID of the change.';
comment on column integrations_db.unfinished_scripts.change is 'Name of the change.';
comment on column integrations_db.unfinished_scripts.action is 'Whether deploy or revert ran it.';
comment on column integrations_db.unfinished_scripts.script is 'File of the script.';
comment on column integrations_db.unfinished_scripts.script_hash is 'SHA-1 of its content.';
comment on column integrations_db.unfinished_scripts.application_name is
  'Name, unlike any other, of the session that runs it.';
comment on column integrations_db.unfinished_scripts.started_at is 'When it was started.';
comment on column integrations_db.unfinished_scripts.started_by is 'Who deployed or reverted.';
comment on column integrations_db.unfinished_scripts.outcome is
  'How it ended and what took effect, if its deployer lived to see it.';
