import { writeFileSync } from "node:fs";
import { type ArgsDef, defineCommand, type ParsedArgs, runCommand } from "citty";
import { version } from "../../package.json";
import { parseDuration } from "../duration.ts";
import { Failure } from "../failure.ts";
import { isLoopback } from "../vault/address.ts";
import { createVaultClient, type VaultClient } from "../vault/client.ts";
import { type Arguments, checkArguments } from "./arguments.ts";
import { serverSettings } from "./environment.ts";
import { ExitCode, exitCodeOf } from "./exit-code.ts";
import { type HelpPage, renderHelp } from "./help.ts";
import { createLog, type Log, parseLogLevel, printFailure, printLines, tellOutput } from "./log.ts";
import type { Environment } from "./variable.ts";

/** What a script's `run` is given beside its arguments. */
export interface Run {
  readonly log: Log;
  readonly env: Environment;
  /** Ends the run: its time limit is over, or it was told to stop. */
  readonly signal: AbortSignal;
  /** Until the time limit, in milliseconds: for long work that leaves no timer its turn. */
  timeLeftMs(): number;
  /** Adds to the environment of this run. */
  setVariables(more: Readonly<Record<string, string>>): void;
  /** A client of the server that the environment names. */
  client(token?: string): VaultClient;
}

/** A script: what its help says, its arguments, and what it does. */
export interface Script<T extends ArgsDef & Arguments> extends HelpPage {
  readonly args: T;
  /** @returns the exit code; nothing for 0 */
  run(args: ParsedArgs<T>, run: Run): Promise<ExitCode | undefined>;
}

/** The heading of what every command takes. */
export const general = "General";

export const commonArgs = {
  "log-level": {
    type: "string",
    alias: "l",
    description: "0 errors, 1 information, 2 debug",
    choices: ["0", "1", "2"],
    default: "1",
    valueHint: "LEVEL",
    group: general,
  },
  timeout: {
    type: "string",
    description: "for the whole run",
    default: "60s",
    valueHint: "DURATION",
    group: general,
  },
  help: { type: "boolean", alias: "h", description: "show this help", group: general },
  version: { type: "boolean", alias: "v", description: "show the version", group: general },
} as const satisfies Arguments;

/** Where a host's own commands find its tokens. */
export const hostArgs = {
  "config-path": {
    type: "string",
    alias: "p",
    description: "folder of the host's config, token and init-token",
    default: "/etc/vault",
    valueHint: "FOLDER",
    group: "Host",
  },
  "init-role": {
    type: "string",
    alias: "r",
    mayBeEmpty: true,
    description: "token role that the init token is traded for, CLUSTER-ROLE",
    env: "VAULT_INIT_ROLE",
    valueHint: "NAME",
    group: "Host",
  },
} as const satisfies Arguments;

/**
 * Runs a script as a process: reads its command line strictly, tells errors in one sentence (with `--json` as one
 * object on standard output, too), and exits with the code that says what came of it.
 *
 * @param calledAs what was typed to call it: its help can be pasted, and its lines start with that
 */
export async function runScript<T extends ArgsDef & Arguments>(
  script: Script<T>,
  rawArgs: readonly string[] = process.argv.slice(2),
  calledAs: string = script.name,
): Promise<void> {
  let log = createLog(calledAs, 1);
  const stop = stopSignal();
  keepMemoryOutOfCoreDumps();
  // Each file and folder gets its mode by itself; one that takes from the owner would get in the way.
  process.umask(0o077);
  let code: ExitCode;
  try {
    code = await perform();
  } catch (error) {
    log.error(error);
    code = exitCodeOf(error);
    if (asksForJson(rawArgs)) printFailure(error, endCode(code, stop.signalExitCode()));
  }
  // A kept connection would hold the process for its idle time.
  process.exit(endCode(tellOutput(code, log), stop.signalExitCode()));

  async function perform(): Promise<ExitCode> {
    if (asksFor(rawArgs, "--help", "-h")) return answer(renderHelp(script, calledAs));
    if (asksFor(rawArgs, "--version", "-v")) return answer(`${calledAs} ${version}`);
    const plain = checkArguments(script.args, rawArgs, calledAs);
    // In whatever form it was asked for (`--help=true`, `-hl2`), it is asked for instead of the work.
    if (asksFor(plain, "--help")) return answer(renderHelp(script, calledAs));
    if (asksFor(plain, "--version")) return answer(`${calledAs} ${version}`);
    let came: ExitCode | undefined;
    const command = defineCommand<T>({
      meta: { name: script.name, version, description: script.description },
      args: script.args,
      async run({ args }) {
        log = createLog(calledAs, parseLogLevel(String(args["log-level"])));
        stop.after(timeLimitMs(String(args.timeout)));
        // A copy: citty's own looks for a flag that was not given under all its spellings, each time.
        came = await script.run({ ...args }, createRun(log, stop));
      },
    });
    await runCommand(command, { rawArgs: plain });
    return came ?? ExitCode.ok;
  }
}

/** What was asked for instead of the work. */
function answer(text: string): ExitCode {
  printLines(text);
  return ExitCode.ok;
}

/** A run that a signal cut short says so, whatever it made of that; one that did all of its work meanwhile is done. */
function endCode(code: ExitCode, ofSignal: number | undefined): number {
  return code === ExitCode.ok ? code : (ofSignal ?? code);
}

/** Tokens and keys are in it. A unit's LimitCORE=0 says the same; a command typed by hand has only this. */
function keepMemoryOutOfCoreDumps(): void {
  try {
    writeFileSync("/proc/self/coredump_filter", "0");
  } catch {
    // no such file on another system, or none that may be written
  }
}

/** Before `--`, after which a word is a value whatever it looks like. */
function asksFor(rawArgs: readonly string[], ...flags: string[]): boolean {
  const end = rawArgs.indexOf("--");
  return rawArgs.slice(0, end === -1 ? undefined : end).some((word) => flags.includes(word));
}

/** Whatever else is wrong with the command line. */
export function asksForJson(rawArgs: readonly string[]): boolean {
  return asksFor(rawArgs, "--json", ...["1", "t", "T", "true", "TRUE", "True"].map((it) => `--json=${it}`));
}

function createRun(log: Log, { signal, timeLeftMs }: ReturnType<typeof stopSignal>): Run {
  const env = { ...process.env };
  // The runtime would pass by the proxies that we name, by rules of its own: see `proxyFor`.
  delete process.env.NO_PROXY;
  delete process.env.no_proxy;
  return {
    log,
    env,
    signal,
    timeLeftMs,
    setVariables: (more) => void Object.assign(env, more),
    client(token) {
      const settings = serverSettings(env, log.note);
      warnOfRisks(settings.address, settings.tls.skipVerify === true, log);
      return createVaultClient({
        ...settings,
        token,
        signal,
        timeLeftMs,
        onRequest: (method, path) => log.debug(`${method} ${path}`),
        onRetry: (error, waitMs) => {
          // A drawn wait may be next to none.
          const seconds = Math.max(0.1, waitMs / 1000).toFixed(1);
          log.note(`${error.message}; trying again in ${seconds} s`);
        },
      });
    },
  };
}

function warnOfRisks(address: string, skipVerify: boolean, log: Log): void {
  if (skipVerify) log.note("VAULT_SKIP_VERIFY is set: whoever answers is trusted, and is sent the token");
  if (/^http:/i.test(address) && URL.canParse(address) && !isLoopback(new URL(address))) {
    log.note(`${address} is not encrypted: whoever listens on the way can read the token`);
  }
}

function timeLimitMs(text: string): number {
  const milliseconds = parseDuration(text) * 1000;
  // Longer ones overflow the timer, and would end at once.
  if (milliseconds > 0 && milliseconds < 2 ** 31) return milliseconds;
  throw new Failure("usage", `--timeout ${text} can't be: give it more than 0 and at most 24d`);
}

/** Aborts when the process is asked to end (requests end, files stay whole), or when the time is over. */
function stopSignal() {
  const controller = new AbortController();
  let exitCode: number | undefined;
  let endsAt = Number.POSITIVE_INFINITY;
  for (const [name, number] of [
    ["SIGTERM", 15],
    ["SIGINT", 2],
  ] as const) {
    process.once(name, () => {
      exitCode = 128 + number;
      controller.abort(new Failure("temporary", `stopped by ${name}`));
    });
  }
  return {
    signal: controller.signal,
    /** The shell's code for a process that a signal ended. */
    signalExitCode: () => exitCode,
    timeLeftMs: () => endsAt - performance.now(),
    after(milliseconds: number) {
      endsAt = performance.now() + milliseconds;
      const sentence = `the time limit of ${milliseconds / 1000} s is over`;
      setTimeout(() => controller.abort(new Failure("temporary", sentence)), milliseconds).unref();
    },
  };
}
