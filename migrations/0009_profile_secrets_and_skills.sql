-- What an agent is given besides its Claude login: secrets by reference, and skills.
set local lock_timeout = '5s';

alter table profiles
  -- variable → where its value lies, never the value: {"NPM_TOKEN": {"secret_name": "npm", "secret_key": "token"}},
  -- {"env_var": "NPM_TOKEN"} (of the engine) or {"file_path": "/run/npm-token"}; guard_profiles() says what is wrong
  add column secrets jsonb not null default '{}',
  -- name → the text of its SKILL.md
  add column skills jsonb not null default '{}',
  add constraint profiles_secrets_is_object check (jsonb_typeof(secrets) = 'object'),
  add constraint profiles_skills_is_object check (jsonb_typeof(skills) = 'object');
