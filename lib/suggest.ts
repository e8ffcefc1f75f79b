/**
 * The name that a mistyped word was most likely meant to be; undefined when no name is close. The word may be the start
 * of a name. Otherwise up to a third of its letters, and at least one, may be missing, extra, wrong or swapped.
 */
export function nearest(word: string, names: readonly string[]): string | undefined {
  const meant = plain(word);
  const [longer, ...others] = names.filter((name) => meant.length >= 2 && plain(name).startsWith(meant));
  if (longer !== undefined && others.length === 0) return longer;
  const [best] = names
    .map((name) => ({ name, edits: editsBetween(meant, plain(name)) }))
    .sort((a, b) => a.edits - b.edits);
  return best !== undefined && best.edits <= Math.max(1, Math.floor(meant.length / 3))
    ? best.name
    : undefined;
}

/** Makes `--dryRun` and `--init_role` close to the flags that were meant. */
function plain(word: string): string {
  return word.toLowerCase().replaceAll("_", "-");
}

/** The optimal string alignment distance: how many letters to add, remove, change or swap with their neighbour. */
function editsBetween(a: string, b: string): number {
  // The word may be very long. If it is more than twice as long as the name, there is no need to compare.
  if (Math.abs(a.length - b.length) > b.length) return Number.POSITIVE_INFINITY;
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      const isSwapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row[j] = Math.min(
        at(i - 1, j) + 1,
        at(i, j - 1) + 1,
        at(i - 1, j - 1) + (isSame ? 0 : 1),
        isSwapped ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY,
      );
    }
  }
  return at(a.length, b.length);
}
