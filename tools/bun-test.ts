import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TestResult {
  passed: number;
  failed: number;
  /** Includes tests marked as to do. */
  skipped: number;
  isGood: boolean;
}

const TIMEOUT_SECONDS = 60;
const TAIL_LENGTH = 4096;

/**
 * Runs `bun test` in a folder and counts. A run is good if at least one test ran and none failed. Tests that this machine
 * can't run count as skipped.
 *
 * @param write gets Bun's output
 */
export async function runBunTest(
  args: string[],
  cwd: string,
  write: (text: string) => void,
): Promise<TestResult> {
  const folder = mkdtempSync(join(tmpdir(), "vault-helper-junit-"));
  try {
    const report = join(folder, "report.xml");
    const reporter = ["--reporter=junit", `--reporter-outfile=${report}`];
    const bun = Bun.spawn(
      [process.execPath, "test", `--timeout=${TIMEOUT_SECONDS * 1000}`, ...reporter, ...args],
      {
        cwd,
        env: { ...process.env, ...(process.stderr.isTTY && { FORCE_COLOR: "1" }) },
        stdin: "ignore",
        stdout: "pipe",
        stderr: "pipe",
      },
    );
    const [tail] = await Promise.all([stream(bun.stderr, write), stream(bun.stdout, write)]);
    const code = await bun.exited;
    return count(existsSync(report) ? readFileSync(report, "utf8") : "", tail, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function stream(output: ReadableStream<Uint8Array>, write: (text: string) => void): Promise<string> {
  const decoder = new TextDecoder();
  let tail = "";
  for await (const chunk of output) {
    const text = decoder.decode(chunk, { stream: true });
    write(text);
    tail = (tail + text).slice(-TAIL_LENGTH);
  }
  return tail;
}

/**
 * Counts from the report and from the end of Bun's output. The report lacks files that can't be loaded, which Bun counts
 * as errors at the end of its output. If nothing ran, there is no report.
 */
function count(report: string, tail: string, code: number): TestResult {
  const totals = /<testsuites [^>]*>/.exec(report)?.[0] ?? "";
  const number = (name: string) => Number(new RegExp(` ${name}="(\\d+)"`).exec(totals)?.[1] ?? 0);
  const text = Bun.stripANSI(tail);
  const errors = Number(/^ *(\d+) errors?$/m.exec(text)?.[1] ?? 0);
  // Without this line Bun crashed or found no file, or a test ended the process.
  const isWhole = /^Ran \d+ tests? /m.test(text);
  const failed = Math.max(number("failures") + errors, isWhole ? 0 : 1);
  // The report lists the hooks of a skipped group as tests without a name.
  const hooks = report.match(/<testcase name="\(unnamed\)"[^>]*>\s*<skipped/g)?.length ?? 0;
  const skipped = number("skipped") - hooks;
  const passed = number("tests") - number("failures") - number("skipped");
  return { passed, failed, skipped, isGood: code === 0 && passed > 0 && failed === 0 };
}
