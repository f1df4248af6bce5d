-- The leader's sign of life in a row of its own: who set something in engine_state, paused for instance, and left his
-- transaction open held up every beat, and the engine counted as gone.
set local lock_timeout = '5s';

create table engine_beat (
  singleton boolean primary key default true constraint engine_beat_one_row check (singleton),
  beat_at   timestamptz -- null: nobody has led yet, or the last leader stopped in good order
);
insert into engine_beat (beat_at) select beat_at from engine_state;

-- Made anew with the functions, and unwatched() with it, whose body names it.
drop function if exists engine_is_live() cascade;
alter table engine_state drop column beat_at;
