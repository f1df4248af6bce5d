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
  ofRun(runId: string): readonly Seen[];
  ofJob(jobName: string): readonly Seen[];
}

/** How many objects that are gone are remembered, so that a late answer does not bring them back. */
const REMEMBERED = 20_000;

/**
 * @param jobOf the name of the Job that an object is or belongs to
 * @param changed called when anything but the version of an object has changed, with its run; null: of many
 */
export function createSeenObjects<Seen extends SeenObject>(
  jobOf: (object: Seen) => string,
  changed: (runId: string | null) => void,
): SeenObjects<Seen> {
  const objects = new Map<string, Seen>();
  const ofRun = createIndex<Seen>(({ runId }) => runId);
  const ofJob = createIndex<Seen>(jobOf);
  const gone = new Set<string>();

  const forget = (object: Seen): void => {
    objects.delete(object.uid);
    ofRun.drop(object);
    ofJob.drop(object);
  };
  const put = (object: Seen): boolean => {
    const before = objects.get(object.uid);
    if (gone.has(object.uid) || (before !== undefined && before.version >= object.version)) return false;
    if (before !== undefined) forget(before);
    objects.set(object.uid, object);
    ofRun.add(object);
    ofJob.add(object);
    return before === undefined || !sameButVersion(before, object);
  };
  const drop = (uid: string): boolean => {
    gone.add(uid);
    const [oldest] = gone;
    if (gone.size > REMEMBERED && oldest !== undefined) gone.delete(oldest);
    const object = objects.get(uid);
    if (object !== undefined) forget(object);
    return object !== undefined;
  };
  return {
    all: () => objects.values(),
    ofRun: ofRun.under,
    ofJob: ofJob.under,
    changed: (object) => {
      if (put(object)) changed(object.runId);
    },
    removed: ({ uid, runId }) => {
      if (drop(uid)) changed(runId);
    },
    listed: (listed, version) => {
      const there = new Set(listed.map(({ uid }) => uid));
      // What is newer than the list was made while it was being read.
      const vanished = [...objects.values()].filter((one) => !there.has(one.uid) && one.version <= version);
      // Somebody took our labels off one and put them back.
      for (const uid of there) gone.delete(uid);
      const dropped = vanished.map(({ uid }) => drop(uid));
      const taken = listed.map(put);
      if (dropped.length > 0 || taken.includes(true)) changed(null);
    },
  };
}

const NONE: readonly never[] = [];

/** Objects by a key that one or two of them share. */
function createIndex<Seen>(keyOf: (object: Seen) => string) {
  const lists = new Map<string, readonly Seen[]>();
  return {
    under: (key: string): readonly Seen[] => lists.get(key) ?? NONE,
    add: (object: Seen): void => void lists.set(keyOf(object), [...(lists.get(keyOf(object)) ?? NONE), object]),
    drop: (object: Seen): void => {
      const left = (lists.get(keyOf(object)) ?? NONE).filter((one) => one !== object);
      if (left.length > 0) lists.set(keyOf(object), left);
      else lists.delete(keyOf(object));
    },
  };
}

function sameButVersion(one: SeenObject, other: SeenObject): boolean {
  return JSON.stringify({ ...one, version: 0 }) === JSON.stringify({ ...other, version: 0 });
}
