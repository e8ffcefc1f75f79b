import { describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { renderMetrics, writeMetrics } from "../../lib/cli/metrics.ts";
import { readAsPrometheus } from "../metrics/prometheus.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { modeOf } from "../support/tree.ts";

const odd = ['a "b"', "a\\b", "a\nb", "\\n", 'x\\"', "ä€日本", '{a="b"} 1', "# HELP", ""];

describe("renderMetrics()", () => {
  test("writes a gauge with its help, and leaves out one without a sample", () => {
    const text = renderMetrics([
      { name: "a_seconds", help: "What a \\ is.\nReally.", samples: [{ value: 1.5 }] },
      { name: "none", help: "None.", samples: [] },
      { name: "b", help: "B.", samples: [{ labels: { of: 'x "y"', at: "\\" }, value: -1 }] },
    ]);
    expect(text).toBe(
      "# HELP a_seconds What a \\\\ is.\\nReally.\n# TYPE a_seconds gauge\na_seconds 1.5\n" +
        '# HELP b B.\n# TYPE b gauge\nb{of="x \\"y\\"",at="\\\\"} -1\n',
    );
  });

  test("is read correctly by Prometheus, with any characters in a label", async () => {
    const samples = odd.map((of, value) => ({ labels: { of }, value }));
    const { problems, metrics } = await readAsPrometheus(
      renderMetrics([{ name: "a", help: odd.join(" "), samples }]),
    );
    expect(problems).toBeNull();
    expect(metrics.a).toEqual(samples);
  }, 300_000);
});

describe("writeMetrics()", () => {
  test("writes a file that the collector may read, and nothing else", () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "it.prom");
    writeFileSync(path, "old", { mode: 0o600 });
    writeFileSync(join(folder.path, ".it.prom.tmp-0123456789ab"), "of a run that was killed");
    const before = lstatSync(path).ino;
    writeMetrics(path, "new\n");
    expect(readFileSync(path, "utf8")).toBe("new\n");
    expect(modeOf(path)).toBe("644");
    expect(lstatSync(path).ino).not.toBe(before);
    expect(readdirSync(folder.path)).toEqual(["it.prom"]);
  });

  test("follows no link at the end of the path, and no other user's link in it", async () => {
    using folder = temporaryFolder();
    const target = join(folder.path, "target");
    writeFileSync(target, "kept");
    symlinkSync(target, join(folder.path, "it.prom"));
    writeMetrics(join(folder.path, "it.prom"), "new\n");
    expect(readFileSync(target, "utf8")).toBe("kept");

    const theirs = join(folder.path, "theirs");
    mkdirSync(theirs);
    chownSync(theirs, 65_534, 65_534);
    symlinkSync(folder.path, join(theirs, "link"));
    const failure = await failureOf(() => writeMetrics(join(theirs, "link/x.prom"), "new\n"));
    expect([failure.kind, failure.message]).toEqual(["file", expect.stringContaining("is not followed")]);
  });

  test("says why it can't write", async () => {
    using folder = temporaryFolder();
    const failure = await failureOf(() => writeMetrics(join(folder.path, "none/it.prom"), ""));
    expect([failure.kind, failure.message]).toEqual([
      "file",
      `can't write ${join(folder.path, "none/it.prom")}: no such file or folder (ENOENT)`,
    ]);
    chmodSync(folder.path, 0o700);
  });
});
