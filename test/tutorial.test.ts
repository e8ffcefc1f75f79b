import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { freePorts } from "../lib/server/process.ts";
import { ensureBuilt } from "../tools/build.ts";
import { ROOT } from "../tools/main.ts";
import { temporaryFolder } from "./support/folder.ts";
import { blocks, section } from "./support/markdown.ts";
import { until } from "./support/wait.ts";

const text = readFileSync(join(ROOT, "docs/tutorial.md"), "utf8");

/** The output that the tutorial shows, line by line. */
const shown = [...text.matchAll(/^```text\n((?:.|\n)*?)^```$/gm)].flatMap(([, it = ""]) =>
  it.trim().split("\n"),
);

/** A line without the parts that differ between runs: times, durations, accessors and widths. */
function constant(line: string): string {
  return line
    .replaceAll(/\d{4}-\d\d-\d\d( \d\d:\d\d)?/g, "TIME")
    .replaceAll(/\b\d+[ydhms]( \d+[ydhms])?(?= )/g, "LEFT")
    .replaceAll(/accessor \S+/g, "accessor ACCESSOR")
    .replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT")
    .replaceAll(/ +/g, " ")
    .trim();
}

test(
  "the tutorial's commands print the output that it shows",
  async () => {
    await ensureBuilt();
    using folder = temporaryFolder();
    const [port] = freePorts(1);
    const tokens = join(folder.path, "tokens");
    const [first = "", ...others] = blocks(section(text, "The first cluster"));
    const commands = [...others, ...blocks(section(text, "The first host"))].join("");
    const [, start = ""] = first.trim().split("\n");
    expect(start).toContain("--tokens-file dist/demo-tokens demo");
    expect(commands).toContain("dist/demo-tokens");
    const filled = (it: string) => it.replaceAll("dist/demo-tokens", tokens);

    const env = { PATH: process.env.PATH ?? "", HOME: folder.path, TMPDIR: folder.path };
    const server = Bun.spawn(
      ["/bin/sh", "-c", `exec ${filled(start).replace("dev-server.ts", `dev-server.ts --port ${port}`)}`],
      {
        cwd: ROOT,
        env: { ...process.env, ...env, HOME: process.env.HOME },
        stdout: "ignore",
        stderr: "inherit",
      },
    );
    await using stack = new AsyncDisposableStack();
    stack.defer(async () => {
      server.kill();
      await server.exited;
    });
    await until(() => existsSync(tokens) || server.exitCode !== null);
    const shell = Bun.spawn(
      ["/bin/bash", "-ec", `${filled(commands).replace(/rm -r "\$host"\n$/, "")}\necho "$host"`],
      {
        cwd: ROOT,
        env,
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    const [stdout, stderr, code] = await Promise.all([
      shell.stdout.text(),
      shell.stderr.text(),
      shell.exited,
    ]);
    expect([code, code === 0 ? "" : stdout + stderr]).toEqual([0, ""]);
    const host = stdout.trim().split("\n").at(-1) ?? "";
    const printed = stdout.replaceAll(host, "$host").split("\n").map(constant);
    const missing = shown.filter((line) => !printed.some((it) => it.endsWith(constant(line))));
    expect({ missing, printed: missing.length === 0 ? [] : printed }).toEqual({ missing: [], printed: [] });
  },
  10 * 60_000,
);
