/** Lets `size` callers in at the same time. Each leaves by disposing of its pass. */
export function gate(size: number): () => Promise<Disposable> {
  let free = size;
  const waiting: Array<() => void> = [];
  const leave = () => {
    const next = waiting.shift();
    if (next === undefined) free++;
    else next();
  };
  return async () => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    return { [Symbol.dispose]: leave };
  };
}
