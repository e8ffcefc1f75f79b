/** Called with the progress of a long job: `looked at tokens`, 300, 1200. */
export type OnProgress = (what: string, done: number, total: number) => void;

/** As many as a client has requests under way. More promises would only fill memory. */
const workers = 8;

/**
 * Calls `work` for each item, a few at a time. After the first failure nothing more is begun.
 *
 * @returns the results, in the order of the items
 */
export async function each<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  onDone?: (done: number) => void,
): Promise<readonly R[]> {
  const results: R[] = Array(items.length);
  const queue = items.entries();
  let done = 0;
  let hasFailed = false;
  const worker = async () => {
    for (const [index, item] of queue) {
      if (hasFailed) return;
      try {
        results[index] = await work(item);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
      onDone?.(++done);
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return results;
}
