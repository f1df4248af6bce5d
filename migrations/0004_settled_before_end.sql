-- A task is settled from its run's report, and does not wait for the job's end; the slot does.
set local lock_timeout = '5s';

-- when its task was settled while the job was still ending; stop_requested_at is set too: nobody needs it any more
alter table runs add column settled_at timestamptz;
