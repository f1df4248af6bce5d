-- What may stand in a profile's secrets and skills. Raises MZ002 with a sentence. Locks: nothing.
create or replace function guard_profiles() returns trigger
  language plpgsql security definer set search_path = public, pg_temp as $$
declare
  v_bytes bigint := 0;
  v_problem text;
  v_name text;
  v_value jsonb;
begin
  if jsonb_typeof(new.secrets) = 'object' then
    for v_name, v_value in select * from jsonb_each(new.secrets) loop
      v_problem := coalesce(v_problem, profile_secret_problem(v_name, v_value));
    end loop;
  end if;
  if jsonb_typeof(new.skills) = 'object' then
    for v_name, v_value in select * from jsonb_each(new.skills) loop
      v_problem := coalesce(v_problem, profile_skill_problem(v_name, v_value));
      v_bytes := v_bytes + coalesce(octet_length(v_value #>> '{}'), 0);
    end loop;
  end if;
  if v_problem is null and v_bytes > 1048576 then
    v_problem := 'its skills have more than 1 MiB together.';
  end if;
  if v_problem is not null then
    raise exception using errcode = 'MZ002', message = format('Profile "%s" cannot be stored: %s', new.name, v_problem);
  end if;
  return new;
end $$;

create or replace trigger profiles_guard before insert or update of secrets, skills on profiles
  for each row execute function guard_profiles();

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
