-- What is wrong with a profile: a sentence for each mistake, or null; of its secrets and skills the first one.
create or replace function profile_problem(p profiles) returns text
  language sql stable set search_path = public, pg_temp as $$
  select format('Profile "%s" cannot be stored: ', p.name) || string_agg(v.problem, ' ')
  from (values
    (coalesce(p.name !~ '\S', true), 'it needs a name.'),
    (coalesce(p.role not in ('green', 'red', 'human'), true),
      'role must be green (plans epics), red (does tasks) or human (is never run).'),
    (p.effort not in ('low', 'medium', 'high', 'xhigh', 'max'),
      'effort must be low, medium, high, xhigh or max, or null for the model''s own.'),
    (coalesce(p.time_limit < '1 second', true), 'time_limit must be an interval of at least a second, like ''2 hours''.'),
    (coalesce(p.first_output_limit < '1 second', true),
      'first_output_limit must be an interval of at least a second, like ''5 minutes''.'),
    (coalesce(p.silence_limit < '1 second', true),
      'silence_limit must be an interval of at least a second, like ''30 minutes''.'),
    (p.max_turns < 1, 'max_turns must be 1 or more, or null for no limit.'),
    (p.max_cost_usd <= 0, 'max_cost_usd must be US dollars above zero, or null for no limit.'),
    (coalesce(p.check_tries < 0, true), 'check_tries must be 0 or more.'),
    (not exists (select from credentials c where c.name = p.credential),
      format('there is no credential "%s".', p.credential)),
    (coalesce(jsonb_typeof(p.environment) <> 'object', true),
      'environment must be a JSON object, like {"TZ": "UTC"}.'),
    (coalesce(jsonb_typeof(p.mcp_servers) <> 'object', true),
      'mcp_servers must be a JSON object: name → server, as in .mcp.json.'),
    (jsonb_typeof(p.pod_template) <> 'object', 'pod_template must be a JSON object, or null.'),
    (coalesce(jsonb_typeof(p.secrets) <> 'object', true), 'secrets must be a JSON object: variable → where its value lies.'),
    (coalesce(jsonb_typeof(p.skills) <> 'object', true), 'skills must be a JSON object: name → the text of its SKILL.md.'),
    (true, (
      select profile_secret_problem(s.key, s.value)
      from jsonb_each(case jsonb_typeof(p.secrets) when 'object' then p.secrets end) s
      where profile_secret_problem(s.key, s.value) is not null limit 1)),
    (true, (
      select profile_skill_problem(s.key, s.value)
      from jsonb_each(case jsonb_typeof(p.skills) when 'object' then p.skills end) s
      where profile_skill_problem(s.key, s.value) is not null limit 1)),
    ((select sum(octet_length(s.value #>> '{}')) > 1048576
      from jsonb_each(case jsonb_typeof(p.skills) when 'object' then p.skills end) s),
      'its skills have more than 1 MiB together.')
  ) v (wrong, problem)
  where v.wrong
$$;

create or replace trigger profiles_guard before insert or update on profiles
  for each row execute function guard_settings('profile_problem');
drop function if exists guard_profiles();

-- The end of a sentence on what is wrong with one entry of profiles.secrets; null: nothing. Never says a value of it,
-- for somebody may have put the secret itself there.
-- Refused are names that would say who pays or where to (all that the worker's cost guard knows begin like this), and
-- those that steer a run.
create or replace function profile_secret_problem(p_variable text, p_source jsonb) returns text
  language sql immutable set search_path = public, pg_temp as $$
  select case
    when p_variable !~ '^[A-Za-z_][A-Za-z0-9_]{0,99}$' then format(
      'the secret "%s" needs a name of letters, digits and _, as environment variables have.', left(p_variable, 100))
    when p_variable ~* '^(ANTHROPIC|CLAUDE|MYZEL)_' or p_variable ~ '^(PATH|HOME|TMPDIR|SHELL|ENABLE_TOOL_SEARCH)$'
      or p_variable ~ '^(GIT_(AUTHOR|COMMITTER|CONFIG)_|GIT_TERMINAL_PROMPT$|DISABLE_AUTOUPDATER$)' then format(
      'the secret %s may not be given: this variable is Myzel''s or Claude Code''s own. Choose another name.', p_variable)
    when jsonb_typeof(p_source) <> 'object' then format(
      'the secret %s must say where its value lies, never the value: {"env_var": …}, {"file_path": …} or '
      '{"secret_name": …, "secret_key": …}.',
      p_variable)
    when (select array_agg(k order by k) from jsonb_object_keys(p_source) k)
      not in (array['env_var'], array['file_path'], array['secret_key', 'secret_name'])
      or exists (select from jsonb_each(p_source) s where jsonb_typeof(s.value) <> 'string')
      or p_source = '{}' then format(
      'the secret %s needs exactly one source, in texts: env_var, file_path, or secret_name with secret_key.', p_variable)
    when p_source ->> 'env_var' !~ '^[A-Za-z_][A-Za-z0-9_]{0,99}$' then format(
      'the env_var of the secret %s is no name of a variable.', p_variable)
    when p_source ->> 'env_var' ~* '^(MYZEL_|ANTHROPIC_|CLAUDE_|PGPASS|DATABASE_URL$)' then format(
      'the env_var of the secret %s is one of the engine''s own variables, which no agent may have.', p_variable)
    when p_source ->> 'file_path' !~ '^/' then format('the file_path of the secret %s must begin with /.', p_variable)
    when p_source ->> 'secret_name' !~ '^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$'
      or p_source ->> 'secret_key' !~ '^[-._A-Za-z0-9]{1,253}$' then format(
      'the secret %s names no possible Secret and key of Kubernetes.', p_variable)
  end
$$;

-- The end of a sentence on what is wrong with one entry of profiles.skills; null: nothing.
create or replace function profile_skill_problem(p_skill text, p_text jsonb) returns text
  language sql immutable set search_path = public, pg_temp as $$
  select case
    when p_skill !~ '^[a-z0-9]([-a-z0-9]{0,62}[a-z0-9])?$' then format(
      'the skill "%s" needs a name of at most 64 small letters, digits and -.', left(p_skill, 100))
    when jsonb_typeof(p_text) <> 'string' then format('the skill %s must be the text of its SKILL.md.', p_skill)
    when octet_length(p_text #>> '{}') > 65536 then format('the skill %s has more than 64 KiB.', p_skill)
    -- else Claude Code takes the skill and tells the model nothing of it
    when split_part(replace(p_text #>> '{}', E'\r', ''), E'\n---', 1)
      !~ E'^---[ \t]*\n(.*\n)?description:[ \t]*\\S' then format(
      'the skill %s must begin with a front matter that holds a description: "---", "description: …", "---".', p_skill)
  end
$$;
