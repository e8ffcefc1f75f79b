/**
 * The lines of a table for people: columns two spaces apart, each as wide as its widest cell.
 *
 * @param indent before each line
 */
export function tableLines(rows: ReadonlyArray<readonly string[]>, indent = ""): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, i) =>
    Math.max(...rows.map((row) => Bun.stringWidth(row[i] ?? ""))),
  );
  return rows.map((row) => {
    const cells = row.map((cell, i) => cell + " ".repeat((widths[i] ?? 0) - Bun.stringWidth(cell)));
    return (indent + cells.join("  ")).trimEnd();
  });
}
