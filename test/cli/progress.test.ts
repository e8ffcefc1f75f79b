import { expect, test } from "bun:test";
import type { Log } from "../../lib/cli/log.ts";
import { tellProgress } from "../../lib/cli/progress.ts";

test("tellProgress() says nothing for the first two seconds of a job, then one line every two seconds, and nothing at its end", () => {
  const said: string[] = [];
  const note = (line: string) => said.push(line);
  const log: Log = { level: 1, done() {}, note, debug() {}, error() {} };
  let ms = 0;
  const tell = tellProgress(log, () => ms);
  const jobs = [
    [1000, "looked at a", 1, 9],
    [1999, "looked at a", 2, 9],
    [3000, "looked at a", 3, 9],
    [4900, "looked at a", 4, 9],
    [5000, "looked at a", 5, 9],
    [9000, "looked at a", 9, 9],
    [9100, "looked at b", 1, 9],
    [11_000, "looked at b", 2, 9],
    [11_100, "looked at b", 3, 9],
  ] as const;
  for (const [at, what, done, total] of jobs) {
    ms = at;
    tell(what, done, total);
  }
  expect(said).toEqual(["looked at a: 3 of 9", "looked at a: 5 of 9", "looked at b: 3 of 9"]);
});
