/**
 * The picture of all objects of one kind, as lists, events and our own creations paint it.
 *
 * Whatever order these come in, and however often, the newest version of an object stays, and one that is
 * gone does not come back.
 */
import type { ObjectReader } from "./follow-objects.ts";
import type { SeenObject } from "./seen.ts";

export interface SeenObjects<Seen extends SeenObject> extends ObjectReader<Seen> {
  all(): Iterable<Seen>;
  ofJob(jobName: string): Seen[];
}

/** How many objects that are gone are remembered, so that a late answer does not bring them back. */
const REMEMBERED = 20_000;

/**
 * @param jobOf the name of the Job that an object is or belongs to
 * @param changed called when anything but the version of an object has changed
 */
export function createSeenObjects<Seen extends SeenObject>(
  jobOf: (object: Seen) => string,
  changed: () => void,
): SeenObjects<Seen> {
  const objects = new Map<string, Seen>();
  const uidsOfJobs = new Map<string, Set<string>>();
  const gone = new Set<string>();

  const put = (object: Seen): boolean => {
    const before = objects.get(object.uid);
    if (gone.has(object.uid) || (before !== undefined && before.version >= object.version)) return false;
    objects.set(object.uid, object);
    const uids = uidsOfJobs.get(jobOf(object)) ?? new Set();
    uidsOfJobs.set(jobOf(object), uids.add(object.uid));
    return before === undefined || !sameButVersion(before, object);
  };
  const drop = (uid: string): boolean => {
    gone.add(uid);
    const [oldest] = gone;
    if (gone.size > REMEMBERED && oldest !== undefined) gone.delete(oldest);
    const object = objects.get(uid);
    if (object === undefined) return false;
    const uids = uidsOfJobs.get(jobOf(object));
    uids?.delete(uid);
    if (uids?.size === 0) uidsOfJobs.delete(jobOf(object));
    return objects.delete(uid);
  };
  return {
    all: () => objects.values(),
    ofJob: (jobName) =>
      [...(uidsOfJobs.get(jobName) ?? [])].map((uid) => objects.get(uid)).filter((object) => object !== undefined),
    changed: (object) => {
      if (put(object)) changed();
    },
    removed: ({ uid }) => {
      if (drop(uid)) changed();
    },
    listed: (listed, version) => {
      const there = new Set(listed.map(({ uid }) => uid));
      // What is newer than the list was made while it was being read.
      const vanished = [...objects.values()].filter((one) => !there.has(one.uid) && one.version <= version);
      // Somebody took our labels off one and put them back.
      for (const uid of there) gone.delete(uid);
      const dropped = vanished.map(({ uid }) => drop(uid));
      const taken = listed.map(put);
      if (dropped.length > 0 || taken.includes(true)) changed();
    },
  };
}

function sameButVersion(one: SeenObject, other: SeenObject): boolean {
  return JSON.stringify({ ...one, version: 0 }) === JSON.stringify({ ...other, version: 0 });
}
