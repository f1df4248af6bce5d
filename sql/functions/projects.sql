-- What is known of a repository.

-- The project of this repository, or no row's values. One look-up by index.
create or replace function project_of(p_repo_url text) returns projects
  language sql stable
  return (select p from projects p where repository_key(p.repo_url) = repository_key(p_repo_url));

-- The API of the repository's host: as the project says, else by the host's name; null: not known to have one.
create or replace function host_api(p_project projects, p_repo_url text) returns text
  language sql immutable
  return coalesce(p_project.host_api, case
    when p_repo_url ~* '^(https?://|ssh://([^@/]*@)?|[^/:@]*@)?github\.com[:/]' then 'github'
    when p_repo_url ~* '^(https?://|ssh://([^@/]*@)?|[^/:@]*@)?gitlab\.[^/:]+[:/]' then 'gitlab'
  end);

-- How a merge task ends in the default branch: 'pull_request', 'approval' (a person is asked first) or 'auto'.
create or replace function merge_policy(p_project projects, p_repo_url text) returns text
  language sql immutable
  return coalesce(p_project.merge_policy,
    case when host_api(p_project, p_repo_url) is null then 'approval' else 'pull_request' end);

-- What is wrong with a project: a sentence for each mistake, or null.
create or replace function project_problem(p projects) returns text
  language sql stable set search_path = public, pg_temp as $$
  select format('Project "%s" cannot be stored: ', left(p.name, 100)) || string_agg(v.problem, ' ')
  from (values
    (coalesce(p.name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$', true),
      'a project''s name has letters, digits, dots, hyphens and underscores, at most 100, the first a letter or digit.'),
    (p.repo_url is null, 'a project has a repository: set repo_url.'),
    (true, repo_url_problem(p.repo_url)),
    (true, 'default_' || branch_problem(p.default_branch)),
    (p.plan_branch is null, 'plan_branch needs a name, like myzel/plan.'),
    (true, 'plan_' || branch_problem(p.plan_branch)),
    (p.merge_policy not in ('pull_request', 'approval', 'auto'),
      'merge_policy must be pull_request, approval or auto, or null for what the host can do.'),
    (p.host_api not in ('github', 'gitlab'), 'host_api must be github or gitlab, or null for what the host''s name says.'),
    (p.host_api_url !~ '^https?://[^@[:space:]]+$',
      'host_api_url is no URL: write it like https://git.example.org/api/v3, without any login.'),
    (coalesce(p.approver !~ '\S', true), 'approver is blank: name the addressee of questions and approvals.'),
    (p.green_profile is not null and not exists (select from profiles o where o.name = p.green_profile),
      format('there is no profile "%s".', p.green_profile)),
    (p.red_profile is not null and not exists (select from profiles o where o.name = p.red_profile),
      format('there is no profile "%s".', p.red_profile)),
    (p.credential is not null and not exists (select from credentials o where o.name = p.credential),
      format('there is no credential "%s".', p.credential)),
    (p.max_live_runs < 0, 'max_live_runs must be 0 or more, or null for no limit.'),
    (p.max_daily_cost_usd <= 0, 'max_daily_cost_usd must be US dollars above zero, or null for no limit.'),
    (p.epic_max_tasks < 1, 'epic_max_tasks must be 1 or more.'),
    (p.epic_max_tasks_per_run < 1, 'epic_max_tasks_per_run must be 1 or more.'),
    (p.epic_max_depth < 1, 'epic_max_depth must be 1 or more.'),
    (p.epic_max_failures_in_a_row < 1, 'epic_max_failures_in_a_row must be 1 or more.'),
    (p.epic_max_runs < 1, 'epic_max_runs must be 1 or more.'),
    (p.epic_max_live_runs < 1, 'epic_max_live_runs must be 1 or more.'),
    (p.epic_max_tokens < 1, 'epic_max_tokens must be 1 or more.'),
    (p.epic_max_cost_usd <= 0, 'epic_max_cost_usd must be US dollars above zero.'),
    (p.epic_max_wall_time < '1 minute', 'epic_max_wall_time must be an interval of at least a minute, like ''7 days''.'),
    (p.paused is null, 'paused is true or false.')
  ) v (wrong, problem)
  where v.wrong
$$;

create or replace trigger projects_guard before insert or update on projects
  for each row execute function guard_settings('project_problem');
