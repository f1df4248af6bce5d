/** The shapes of backlog. Pure: what a contestant makes of a shape is its own file's business. */

export const SHAPE_NAMES = ["a", "b", "c", "d", "e", "f"] as const;
export type ShapeName = (typeof SHAPE_NAMES)[number];

export interface Shape {
  readonly title: string;
  /** SQL over `i` (1, 2, …): whose task the i-th of the backlog is. */
  readonly addressee: string;
  /** How many of those addressees can start nothing, for a backlog of so many tasks; the others are free. */
  readonly held: (pending: number) => number;
  /** Why they cannot. */
  readonly gate: "none" | "busy" | "credential";
}

/** Where an addressee is held, tasks of free ones trickle in while the clock runs: those are what is counted. */
export const SHAPES: Readonly<Record<ShapeName, Shape>> = {
  a: { title: "one addressee", addressee: "'one'", held: () => 0, gate: "none" },
  b: { title: "every task its own", addressee: "'own-' || i", held: () => 0, gate: "none" },
  c: { title: "1,000 addressees", addressee: "'key-' || i % 1000", held: () => 0, gate: "none" },
  d: { title: "one busy, a trickle", addressee: "'held-0'", held: () => 1, gate: "busy" },
  e: {
    title: "10,000 busy, a trickle",
    addressee: "'held-' || i % 10000",
    held: (pending) => Math.min(pending, 10_000),
    gate: "busy",
  },
  f: {
    title: "100,000 behind one credential, a trickle",
    addressee: "'held-' || i % 100000",
    held: (pending) => Math.min(pending, 100_000),
    gate: "credential",
  },
};

/** SQL over `i`: addressees of the trickle, each task its own. */
export const FREE_ADDRESSEE = "'free-' || i";
