-- The guards of what people set by hand: profiles, projects, credentials, addressees, engine_state, the limits of
-- epics. The same rules stand as constraints; these say before them, in sentences, what is allowed, and never show the
-- row. On the columns that people set alone: what the engine writes costs nothing.

-- Refuses what the function named by the trigger finds wrong with the new row. Raises MZ002 with its sentence.
create or replace function guard_settings() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_problem text;
begin
  execute format('select %I($1)', tg_argv[0]) into v_problem using new;
  if v_problem is not null then
    raise exception using errcode = 'MZ002', message = v_problem;
  end if;
  return new;
end $$;

-- What is wrong with a credential: a sentence for each mistake, or null. Never says a value: it may be the secret itself.
create or replace function credential_problem(p credentials) returns text
  language sql stable set search_path = public, pg_temp as $$
  select format('Credential "%s" cannot be stored: ', p.name) || string_agg(v.problem, ' ')
  from (values
    (coalesce(p.name !~ '\S', true), 'it needs a name.'),
    (num_nonnulls(p.env_var, p.file_path, coalesce(p.secret_name, p.secret_key)) > 1,
      'the secret lies in one place: set env_var, or file_path, or secret_name with secret_key (or none of them: '
      'what "myzel login" stored, or CLAUDE_CODE_OAUTH_TOKEN).'),
    (p.env_var !~ '^[A-Za-z_][A-Za-z0-9_]{0,99}$',
      'env_var is no name of a variable: letters, digits and _. Name the variable, never the value.'),
    (p.file_path !~ '^/', 'file_path must begin with /.'),
    ((p.secret_name is null) <> (p.secret_key is null), 'secret_name and secret_key go together.'),
    (p.secret_name !~ '^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$' or p.secret_key !~ '^[-._A-Za-z0-9]{1,253}$',
      'secret_name and secret_key name no possible Secret and key of Kubernetes.'),
    (p.max_live_runs < 0, 'max_live_runs must be 0 or more, or null for no limit.'),
    (p.keep_reserve is null, 'keep_reserve is true or false.')
  ) v (wrong, problem)
  where v.wrong
$$;

create or replace trigger credentials_guard
  before insert or update of name, env_var, file_path, secret_name, secret_key, max_live_runs, keep_reserve on credentials
  for each row execute function guard_settings('credential_problem');

-- What is wrong with the settings of an addressee: a sentence for each mistake, or null.
create or replace function addressee_problem(p addressees) returns text
  language sql stable set search_path = public, pg_temp as $$
  select format('Addressee "%s" cannot be stored: ', left(p.addressee, 100)) || string_agg(v.problem, ' ')
  from (values
    (coalesce(p.addressee !~ '\S', true), 'name whose tasks are meant.'),
    (length(p.addressee) > 200 or p.addressee ~ '[[:cntrl:]]',
      'no task can have it: at most 200 characters, no control characters.'),
    (coalesce(p.capacity not between 0 and 10000, true),
      'capacity must be from 0 to 10000: how many of its tasks may run at a time.'),
    (p.paused is null, 'paused is true or false.'),
    (p.profile is not null and not exists (select from profiles o where o.name = p.profile),
      format('there is no profile "%s".', p.profile))
  ) v (wrong, problem)
  where v.wrong
$$;

create or replace trigger addressees_guard before insert or update on addressees
  for each row execute function guard_settings('addressee_problem');

-- What is wrong with what people set for all runs: a sentence for each mistake, or null.
create or replace function engine_state_problem(p engine_state) returns text
  language sql stable set search_path = public, pg_temp as $$
  select 'The settings of the engine cannot be stored: ' || string_agg(v.problem, ' ')
  from (values
    (p.max_daily_cost_usd <= 0, 'max_daily_cost_usd must be US dollars above zero, or null for no limit.'),
    (p.paused is null, 'paused is true or false.')
  ) v (wrong, problem)
  where v.wrong
$$;

create or replace trigger engine_state_guard before update of paused, max_daily_cost_usd on engine_state
  for each row execute function guard_settings('engine_state_problem');

-- What is wrong with the limits of an epic: a sentence for each mistake, or null.
create or replace function epic_problem(p epics) returns text
  language sql stable set search_path = public, pg_temp as $$
  select format('The limits of epic "%s" cannot be stored: ', left(p.title, 100)) || string_agg(v.problem, ' ')
  from (values
    (coalesce(p.max_tasks < 1, true), 'max_tasks must be 1 or more.'),
    (coalesce(p.max_tasks_per_run < 1, true), 'max_tasks_per_run must be 1 or more.'),
    (coalesce(p.max_depth < 1, true), 'max_depth must be 1 or more.'),
    (coalesce(p.max_failures_in_a_row < 1, true), 'max_failures_in_a_row must be 1 or more.'),
    (coalesce(p.max_runs < 1, true), 'max_runs must be 1 or more.'),
    (coalesce(p.max_live_runs < 1, true), 'max_live_runs must be 1 or more; to hold the epic, pause its project.'),
    (p.max_tokens < 1, 'max_tokens must be 1 or more, or null for no limit.'),
    (p.max_cost_usd <= 0, 'max_cost_usd must be US dollars above zero, or null for no limit.'),
    (coalesce(p.max_wall_time < '1 minute', true),
      'max_wall_time must be an interval of at least a minute, like ''7 days''.')
  ) v (wrong, problem)
  where v.wrong
$$;

create or replace trigger epics_guard
  before update of max_tasks, max_tasks_per_run, max_depth, max_failures_in_a_row, max_runs, max_live_runs, max_tokens,
    max_cost_usd, max_wall_time on epics
  for each row execute function guard_settings('epic_problem');
