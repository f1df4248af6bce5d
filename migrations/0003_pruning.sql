-- What pruning goes by, and how soon the space of what was pruned is used again.
set local lock_timeout = '5s';

-- The oldest transcripts first.
create index run_transcripts_stored on run_transcripts (stored_at);

-- A fifth of the table (the default) may be gigabytes of transcripts; the rows themselves are small.
alter table run_transcripts set (
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
  toast.autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_threshold = 5000
);

-- A task and its run leave two or three dead rows each. A fifth of a table with a long past would be many days of them.
alter table tasks set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
alter table runs set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
alter table task_events set (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000);
