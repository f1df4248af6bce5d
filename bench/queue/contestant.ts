/** What a queue must offer to take part. Each keeps the tasks of one addressee serial, or it may not. */
import type { BenchServer } from "./server.ts";
import type { Shape } from "./shapes.ts";

export interface Contestant {
  readonly name: string;
  /** Name of the template database, made by `prepare`; several contestants may share one. */
  readonly template: string;
  prepare(url: string, server: BenchServer): Promise<void>;
  /** Fills a fresh database with the backlog, held addressees included, by set-based SQL. */
  open(cell: Cell): Promise<OpenCell>;
}

export interface Cell {
  /** The superuser's URL of a fresh database. */
  readonly url: string;
  readonly server: BenchServer;
  readonly shape: Shape;
  readonly pending: number;
}

export interface OpenCell {
  /** Files tasks `from` … `to` of the trickle by one set-based statement. */
  feed(range: { from: number; to: number }): Promise<void>;
  /** Claims and settles until the deadline or until nothing is left. */
  run(box: Box): Promise<void>;
  /** After `run`: lets go of everything. */
  close(): Promise<void>;
}

export interface Box {
  readonly signal: AbortSignal;
  /** So many tasks were settled. */
  settled(count: number): void;
  /** One claim took so long and returned so many. */
  claimed(ms: number, count: number): void;
}
