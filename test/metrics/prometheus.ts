import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

/** The metrics that Prometheus reads, and the problems that it finds. */
export interface PrometheusView {
  readonly problems: ReadonlyArray<{ readonly Metric: string; readonly Text: string }> | null;
  readonly metrics: Readonly<
    Record<
      string,
      ReadonlyArray<{ readonly labels: Readonly<Record<string, string>>; readonly value: number }>
    >
  >;
}

/** Reads metrics with Prometheus' own parser, and lints them by the rules of `promtool check metrics`. */
export async function readAsPrometheus(text: string): Promise<PrometheusView> {
  const child = Bun.spawn([await reader()], { stdin: Buffer.from(text), stdout: "pipe", stderr: "pipe" });
  const [out, errors, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (code !== 0) throw new Error(`Prometheus can't read it: ${errors}${text}`);
  return JSON.parse(out);
}

let built: Promise<string> | undefined;

/** Builds the reader once for its source, which takes some seconds, and keeps it beside the test server. */
async function reader(): Promise<string> {
  built ??= build();
  return await built;
}

async function build(): Promise<string> {
  const source = ["main.go", "go.mod", "go.sum"].map((name) => readFileSync(join(import.meta.dir, name)));
  const hash = source.reduce((sum, text) => sum.update(text), createHash("sha256")).digest("hex");
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "vault-helper");
  const path = join(cache, `promlint-${hash.slice(0, 16)}`);
  if (existsSync(path)) return path;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, ".promlint-"));
  try {
    const output = join(work, "promlint");
    const go = Bun.spawn(["go", "build", "-trimpath", "-o", output, "."], {
      cwd: import.meta.dir,
      stdin: "ignore",
      stdout: "ignore",
      stderr: "pipe",
    });
    const [errors, code] = await Promise.all([go.stderr.text(), go.exited]);
    if (code !== 0) throw new Error(`go build ended with ${code}: ${errors}`);
    renameSync(output, path);
    return path;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
