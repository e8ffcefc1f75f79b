import { describe, expect, test } from "bun:test";
import { painter } from "../../lib/cli/colour.ts";
import { type StatusRow, statusTable } from "../../lib/cli/status-table.ts";

const row = (fields: Partial<StatusRow>): StatusRow => ({
  state: "ok",
  what: "thing",
  reasons: [],
  facts: [],
  ...fields,
});
const plain = (text: string) => text;

describe("statusTable()", () => {
  test("puts the worst state first, and within a state the row with the least time left", () => {
    const lines = statusTable(
      [
        row({ what: "a" }),
        row({ what: "c", urgency: 20 }),
        row({ what: "b", urgency: 10 }),
        row({ state: "unknown" }),
        row({ state: "due" }),
        row({ state: "wrong", left: "expired", due: "now", reasons: ["it has expired", "so there"] }),
      ],
      plain,
    );
    expect(lines).toEqual([
      "STATE    WHAT   LEFT     DUE (UTC)  ABOUT",
      "wrong    thing  expired  now        it has expired; so there",
      "due      thing",
      "unknown  thing",
      "ok       b",
      "ok       c",
      "ok       a",
    ]);
  });

  test("leaves out facts without room, but never a reason", () => {
    const facts = ["f".repeat(40), "g".repeat(40), "h".repeat(10)];
    const [, ok, wrong] = statusTable(
      [row({ facts }), row({ state: "unknown", reasons: ["r".repeat(120)], facts })],
      plain,
    ).toSorted((a, b) => a.length - b.length);
    expect(ok).toEndWith(`${facts[0]}, ${facts[2]}`);
    expect(wrong).toEndWith(` ${"r".repeat(120)}`);
    expect(statusTable([row({ facts })], plain, 200)[1]).toEndWith(facts.join(", "));
  });

  test("wraps its last column on a terminal, below itself or on lines of its own", () => {
    const reasons = ["the server does not know it: it expired, was revoked, or is another server's"];
    const rows = [row({ state: "wrong", what: "init token of all", reasons })];
    const lines = statusTable(rows, plain, 80);
    expect(lines).toEqual([
      "STATE  WHAT               LEFT  DUE (UTC)  ABOUT",
      "wrong  init token of all                   the server does not know it: it",
      "                                           expired, was revoked, or is another",
      "                                           server's",
    ]);
    expect(statusTable([row({ ...rows[0], what: "w".repeat(40) })], plain, 80).slice(1)).toEqual([
      `wrong  ${"w".repeat(40)}`,
      "    the server does not know it: it expired, was revoked, or is another server's",
    ]);
    expect(statusTable(rows, plain)).toHaveLength(2);
  });

  test("colours only the state, and escapes control characters in all cells, and a tab is a space", () => {
    const paint = painter({ TERM: "xterm" }, true);
    const lines = statusTable(
      [row({ what: "a\u001b[2Jb\n", facts: ["\u202etxt", "a\ttab", "wide 日本"] }), row({ state: "wrong" })],
      paint,
    );
    expect(lines).toEqual([
      "STATE  WHAT     LEFT  DUE (UTC)  ABOUT",
      "\u001b[31mwrong\u001b[0m  thing",
      "\u001b[32mok\u001b[0m     a\ufffd[2Jb\ufffd                   \ufffdtxt, a tab, wide 日本",
    ]);
  });
});

test.each([
  [{ TERM: "xterm" }, true, true],
  [{ TERM: "xterm", NO_COLOR: "" }, true, true],
  [{ TERM: "xterm", NO_COLOR: "1" }, true, false],
  [{ TERM: "dumb" }, true, false],
  [{ TERM: "xterm" }, false, false],
])("painter(%p, terminal: %p) colours: %p", (env, isTerminal, isColoured) => {
  expect(painter(env, isTerminal)("x", "red") !== "x").toBe(isColoured);
});
