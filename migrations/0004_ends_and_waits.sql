-- What a run says of itself between its launch and its end.
set local lock_timeout = '5s';

alter table runs
  -- when its task was settled while the job was still ending; stop_requested_at is set too: nobody needs it any more
  add column settled_at timestamptz,
  -- what its job waits for before it works, in the launcher's words
  add column waiting_for text;
