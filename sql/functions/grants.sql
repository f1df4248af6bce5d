-- The four roles and what each may do. Roles belong to the whole server: they are made only where missing, NOLOGIN,
-- with the prefix that the migrator sets as myzel.role_prefix. Applied last, after every migration.
do $$
declare
  v_prefix text := coalesce(nullif(current_setting('myzel.role_prefix', true), ''), 'myzel');
  v_engine text := v_prefix || '_engine';
  v_operator text := v_prefix || '_operator';
  v_reader text := v_prefix || '_reader';
  v_pod text := v_prefix || '_pod';
  v_role text;
begin
  foreach v_role in array array[v_engine, v_operator, v_reader, v_pod] loop
    if not exists (select from pg_roles where rolname = v_role) then
      begin
        execute format('create role %I nologin', v_role);
      exception when duplicate_object or unique_violation then
        null; -- another migrator of this server was faster
      end;
    end if;
  end loop;

  execute 'revoke all on all tables in schema public from public';
  execute 'revoke all on all functions in schema public from public';
  execute 'revoke create on schema public from public';
  execute format('revoke all on all tables in schema public from %I, %I, %I, %I', v_engine, v_operator, v_reader, v_pod);
  execute format('revoke all on all functions in schema public from %I, %I, %I, %I', v_engine, v_operator, v_reader, v_pod);
  execute format('grant usage on schema public to %I, %I, %I, %I', v_engine, v_operator, v_reader, v_pod);

  -- the engine: everything but changing the schema
  execute format('grant select, insert, update, delete on all tables in schema public to %I', v_engine);
  execute format('grant execute on all functions in schema public to %I', v_engine);

  -- people who file and steer tasks
  execute format('grant select on all tables in schema public to %I, %I', v_operator, v_reader);
  execute format('revoke select on lane_changes from %I, %I', v_operator, v_reader);
  execute format('grant insert, update, delete on tasks, task_options, addressees, profiles, credentials, projects to %I', v_operator);
  execute format('grant update (%s) on epics to %I', array_to_string(epic_limit_names(), ', '), v_operator);
  execute format('grant update (paused, max_daily_cost_usd) on engine_state to %I', v_operator);
  execute format(
    'grant execute on function enqueue, reschedule, stop, pause, resume, demand_task, wake_engine, file_epic, stop_epic, answer, move_first, epic_limit_names to %I', v_operator);
  execute format(
    'grant execute on function myzel_now, repo_url_problem, branch_problem, task_problem, why_not_running, say_duration, engine_is_live, resolve_profile, repository_key, project_of, host_api, merge_policy, is_green, role_of, epic_waits_for to %I, %I',
    v_operator, v_reader);

  -- the pod: these functions
  execute format(
    'grant execute on function load_brief, store_transcript, write_report, load_work, store_work, load_stopped_brief, ended_epics to %I',
    v_pod);
end $$;
