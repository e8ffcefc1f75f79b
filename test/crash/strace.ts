import { readFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";

/** One system call of a traced run. */
export interface Call {
  readonly name: string;
  /** The number of the call among those with this name in its thread, as strace counts them for `when=`. */
  readonly nth: number;
  /** The path that it acts on; undefined for a call on the network. */
  readonly path: string | undefined;
  /** The second path, for a rename. */
  readonly target: string | undefined;
  /** The line that strace printed. */
  readonly line: string;
  readonly failed: boolean;
}

export interface TracedRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The calls on the folder or the network, in order. */
  readonly calls: readonly Call[];
  /** The calls that were made to fail. There may be several, since each thread counts separately. */
  readonly failedByUs: readonly Call[];
}

interface Fault {
  readonly call: string;
  readonly nth: number;
  /** In strace's syntax: `signal=KILL`, `error=ENOSPC`, `retval=1`. */
  readonly what: string;
}

export interface TraceOptions {
  readonly env: Readonly<Record<string, string>>;
  /** The folder whose calls are returned. */
  readonly folder: string;
  readonly fault?: Fault;
}

/** Runs a command under strace, which can kill it at one call, or make that call fail. */
export async function trace(command: readonly string[], options: TraceOptions): Promise<TracedRun> {
  using work = temporaryFolder();
  const output = join(work.path, "trace");
  const { fault } = options;
  const inject = fault === undefined ? [] : ["-e", `inject=${fault.call}:${fault.what}:when=${fault.nth}`];
  const strace = Bun.which("strace");
  if (strace === null) throw new Error("strace is not installed: install the package strace");
  const child = Bun.spawn(
    [
      strace,
      "-f",
      "-qq",
      "-y",
      "-s",
      "300",
      "-e",
      "trace=%file,%desc,%network",
      ...inject,
      "-o",
      output,
      ...command,
    ],
    {
      env: { PATH: process.env.PATH ?? "", HOME: "/nonexistent", ...options.env },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    },
  );
  const [stdout, stderr, code] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code, stdout, stderr, ...parseTrace(readFileSync(output, "utf8"), options.folder) };
}

/** @param folder only calls below it or on sockets are returned */
function parseTrace(text: string, folder: string): Pick<TracedRun, "calls" | "failedByUs"> {
  const counts = new Map<string, number>();
  // The path of each open descriptor, to resolve paths below /proc/self/fd.
  const open = new Map<string, string>();
  const calls: Call[] = [];
  const failedByUs: Call[] = [];
  for (const raw of joinInterrupted(text)) {
    const match = /^(\d+) +([a-z0-9_]+)\((.*)$/.exec(raw);
    if (match === null) continue;
    const [, thread = "", name = "", rest = ""] = match;
    const key = `${thread} ${name}`;
    const nth = (counts.get(key) ?? 0) + 1;
    counts.set(key, nth);
    const opened = / = (\d+)<(\/[^>]*)>$/.exec(rest);
    if (opened !== null) open.set(opened[1] ?? "", opened[2] ?? "");
    const [path, target] = pathsOf(rest, open);
    const ours = path !== undefined && `${path}/`.startsWith(`${folder}/`);
    const network = /^\d+<(socket|TCP|UDP)/.test(rest) || (name === "socket" && rest.startsWith("AF_INET"));
    const failed = / = -1 E/.test(raw);
    const call = { name, nth, path: ours ? path : undefined, target, line: raw, failed };
    if (raw.endsWith("(INJECTED)")) failedByUs.push(call);
    if (ours || network) calls.push(call);
  }
  return { calls, failedByUs };
}

/** Joins the two parts of a call during which another thread ran. */
function joinInterrupted(text: string): string[] {
  const begun = new Map<string, string>();
  return text.split("\n").flatMap((line) => {
    const thread = line.split(" ", 1)[0] ?? "";
    const unfinished = / <unfinished \.\.\.>$/.exec(line);
    if (unfinished !== null) {
      begun.set(thread, line.slice(0, unfinished.index));
      return [];
    }
    const resumed = /^\d+ +<\.\.\. \w+ resumed>/.exec(line);
    if (resumed === null) return [line];
    return [`${begun.get(thread) ?? ""}${line.slice(resumed[0].length)}`];
  });
}

/** The paths in a call's arguments: first the descriptor's, then the literal ones. */
function pathsOf(args: string, open: ReadonlyMap<string, string>): string[] {
  // Data written to a pipe is no path, even if it looks like one.
  if (/^\d+<(?!\/)/.test(args)) return [];
  // symlink's first argument is content, not a path.
  const texts = [...args.matchAll(/(?:(\d+|AT_FDCWD)<(\/[^>]*)>|"((?:[^"\\]|\\.)*)")/g)];
  const paths: string[] = [];
  let base = "";
  for (const [, , descriptorPath, text] of texts) {
    if (descriptorPath !== undefined) {
      base = descriptorPath;
      if (!args.startsWith("AT_FDCWD")) paths.push(descriptorPath);
      continue;
    }
    if (text === undefined) continue;
    const inside = /^\/proc\/self\/fd\/(\d+)(.*)$/.exec(text);
    if (inside !== null) paths.push(`${open.get(inside[1] ?? "") ?? ""}${inside[2]}`);
    else if (text.startsWith("/")) paths.push(text);
    else if (base !== "" && text !== "") paths.push(`${base}/${text}`);
  }
  return paths;
}
