-- Tests functions/quarantine_reason.
begin;
select plan(9);

select has_function(
  'integrations_private', 'quarantine_reason', array[]::name[]
);
select function_returns(
  'integrations_private', 'quarantine_reason',
  array[]::name[],
  'text'
);
select function_lang_is(
  'integrations_private', 'quarantine_reason',
  array[]::name[],
  'sql'
);
select volatility_is(
  'integrations_private', 'quarantine_reason',
  array[]::name[],
  'immutable'
);
select isnt_definer(
  'integrations_private', 'quarantine_reason',
  array[]::name[]
);
select function_owner_is(
  'integrations_private', 'quarantine_reason',
  array[]::name[],
  'integrations_owner'
);
select tests.executable_by(
  'integrations_private.quarantine_reason()',
  array[]::name[]
);

select tests.as_owner(null);
select ok(
  integrations_private.quarantine_reason() like 'quarantined: %'
    and pg_catalog.char_length(integrations_private.quarantine_reason()) <= 1000,
  'it says what it is, and is not cut when it is written');

select * from finish();
rollback;
