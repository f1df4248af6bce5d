-- Tasks that are filed one after the other lie side by side in the indexes: a claim reads and logs a few pages instead of
-- one a task. Postgres 18 makes such ids itself (UUID version 7); older servers keep random ones.
set local lock_timeout = '5s';

do $$
begin
  if current_setting('server_version_num')::integer >= 180000 then
    alter table tasks alter column id set default uuidv7();
  end if;
end $$;
