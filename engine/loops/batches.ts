/** Many small writes as few: what comes while a batch is under way goes with the next. */

/**
 * Returns a function that hands its item over to `write` and resolves or rejects as the batch with it does.
 * One batch is under way at a time, of `most` items at most, in the order they came.
 */
export function inBatches<Item>(
  write: (batch: readonly Item[]) => Promise<void>,
  most = 64,
): (item: Item) => Promise<void> {
  let waiting: { item: Item; done: () => void; failed: (error: unknown) => void }[] = [];
  let writing = false;

  const writeAll = async (): Promise<void> => {
    writing = true;
    while (waiting.length > 0) {
      const batch = waiting.slice(0, most);
      waiting = waiting.slice(most);
      try {
        await write(batch.map(({ item }) => item));
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    }
    writing = false;
  };

  return (item) =>
    new Promise((done, failed) => {
      waiting.push({ item, done, failed });
      if (!writing) void writeAll();
    });
}
