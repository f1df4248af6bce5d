-- What is wrong with a repository URL: a sentence, or null. Remotes over https, ssh, git, file and plain paths work;
-- everything that git would run as a command or that carries a secret is refused.
create or replace function repo_url_problem(p_repo_url text) returns text
  language sql immutable parallel safe
  return case
    when p_repo_url is null then null
    when p_repo_url ~ '^\s*$' then 'repo_url is empty: give a URL, or leave it null for an empty work directory.'
    when p_repo_url ~ '^-' then 'repo_url begins with "-": that would be an option to git, not a repository.'
    when p_repo_url ~ '[[:cntrl:][:space:]]' then 'repo_url contains white space or control characters.'
    when length(p_repo_url) > 2000 then 'repo_url is longer than 2000 characters.'
    when p_repo_url ~ '^[A-Za-z0-9+.-]+::' then 'repo_url names a remote helper ("x::"): use https, ssh, git or file.'
    when p_repo_url ~* '^https?://[^/]*@'
      then 'repo_url carries a user name or token: leave it out, the engine asks git''s credential helpers.'
    when p_repo_url ~* '^ssh://[^/@]*:[^/]*@' then 'repo_url carries a password: leave it out.'
    when p_repo_url ~* '^(https?|ssh|git)://[^/]+/.' then null
    when p_repo_url ~* '^file:///.' then null
    when p_repo_url ~* '^[a-z][a-z0-9+.-]*://' then 'repo_url has a scheme that is not supported: use https, ssh, git or file.'
    when p_repo_url ~ '^/.' then null
    when p_repo_url ~ '^[^/:]+:.' then null
    else 'repo_url is neither a URL (https://host/path), host:path nor an absolute path.'
  end;

-- What git would refuse of a branch name (git-check-ref-format): a sentence, or null.
create or replace function branch_problem(p_branch text) returns text
  language sql immutable parallel safe
  return case
    when p_branch is null then null
    when p_branch ~ '^\s*$' then 'branch is empty: give a name, or leave it null for myzel/<task id>.'
    when length(p_branch) > 200 then 'branch is longer than 200 characters.'
    when p_branch ~ '^-' or p_branch ~ '[[:cntrl:][:space:]~^:?*\[\\]' or p_branch ~ '\.\.|@\{|//|/\.|\.lock(/|$)'
      or p_branch ~ '^[./]|[./]$' or p_branch in ('@', 'HEAD') or p_branch ~ '^refs/'
      then format('branch "%s" is not a name that git accepts for a branch.', left(p_branch, 60))
  end;

-- What is wrong with the content of a task: a sentence that says what to do, or null. Called by the guards of tasks.
create or replace function task_problem(p_addressee text, p_prompt text, p_repo_url text, p_branch text) returns text
  language sql immutable parallel safe
  return case
    when p_addressee is null or p_addressee !~ '\S' then 'addressee is empty: name who shall do the task.'
    when length(p_addressee) > 200 then 'addressee is longer than 200 characters.'
    when p_addressee ~ '[[:cntrl:]]' then 'addressee contains control characters.'
    when p_prompt is null or p_prompt !~ '\S' then 'prompt is empty: say what is to be done.'
    when octet_length(p_prompt) > 1048576 then format(
      'prompt is %s bytes long, the limit is 1 MiB: put long material into a file of the repository and name it.',
      octet_length(p_prompt))
    else coalesce(repo_url_problem(p_repo_url), branch_problem(p_branch))
  end;

-- The guard of INSERT. A cheap look first, so that a good row costs about 5% of an INSERT; a repository or a branch is
-- reason enough for the full one. (The same condition as WHEN of the trigger costs 20%: it is read and planned anew for
-- every statement, where a function's is planned once a session.)
-- Raises MZ002.
create or replace function guard_task_insert() returns trigger
  language plpgsql as $$
declare
  v_problem text;
begin
  if new.status = 'pending'
    and num_nonnulls(new.started_at, new.completed_at, new.result, new.worker_pod, new.repo_url, new.branch) = 0
    and new.addressee ~ '^[!-~]+$' and octet_length(new.addressee) <= 200
    and ascii(new.prompt) between 33 and 126 and octet_length(new.prompt) <= 1048576
  then
    return new;
  end if;
  v_problem := public.task_problem(new.addressee, new.prompt, new.repo_url, new.branch);
  if v_problem is null and new.status is distinct from 'pending' then
    v_problem := format('A new task is pending, not "%s": leave status out; only the engine starts runs.', new.status);
  elsif v_problem is null and num_nonnulls(new.started_at, new.completed_at, new.result, new.worker_pod) > 0 then
    v_problem := 'A new task has no started_at, completed_at, result or worker_pod: leave them out.';
  end if;
  if v_problem is not null then
    raise exception using errcode = 'MZ002', message = v_problem;
  end if;
  return new;
end $$;

create or replace trigger tasks_guard_insert
  before insert on tasks
  for each row execute function guard_task_insert();
