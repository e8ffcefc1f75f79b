/** Lets `size` callers in at one time; each leaves by disposing of what it got. */
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
