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
