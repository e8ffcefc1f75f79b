import { writeFileSync } from "node:fs";
import type { ArgsDef, ParsedArgs } from "citty";
import { version } from "../../package.json";
import { parseDuration } from "../duration.ts";
import { Failure } from "../failure.ts";
import { isLoopback } from "../vault/address.ts";
import { createVaultClient, type VaultClient } from "../vault/client.ts";
import { type Arguments, argumentValues, checkArguments, trueWords } from "./arguments.ts";
import { serverSettings } from "./environment.ts";
import { ExitCode, exitCodeOf } from "./exit-code.ts";
import type { HelpPage } from "./help.ts";
import { createLog, type Log, parseLogLevel, printFailure, printLines, tellOutput } from "./log.ts";
import type { Environment } from "./variable.ts";

/** What a script's `run` gets besides its arguments. */
export interface Run {
  readonly log: Log;
  readonly env: Environment;
  /** Aborts when the time limit is over, or when a signal asks the process to end. */
  readonly signal: AbortSignal;
  /** Milliseconds until the time limit. For long work during which no timer can fire. */
  timeLeftMs(): number;
  /** Adds variables to the environment of this run. */
  setVariables(more: Readonly<Record<string, string>>): void;
  /** A client for the server that the environment names. */
  client(token?: string): VaultClient;
}

/** A script: its help, its arguments, and what it does. */
export interface Script<T extends ArgsDef & Arguments> extends HelpPage {
  readonly args: T;
  /** The time limit of a run without `--timeout`. @default that of the flag */
  timeLimit?(args: ParsedArgs<T>): string;
  /** @returns the exit code; nothing for 0 */
  run(args: ParsedArgs<T>, run: Run): Promise<ExitCode | undefined>;
}

/** The heading of the flags that every command has. */
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
    description: "time limit of the whole run",
    default: "60s",
    valueHint: "DURATION",
    group: general,
  },
  help: { type: "boolean", alias: "h", description: "show this help", group: general },
  version: { type: "boolean", alias: "v", description: "show the version", group: general },
} as const satisfies Arguments;

/** The flags that tell a host's own commands where its tokens are. */
export const hostArgs = {
  "config-path": {
    type: "string",
    alias: "p",
    description: "folder of the host's files config, token and init-token",
    default: "/etc/vault",
    valueHint: "FOLDER",
    group: "Host",
  },
  "init-role": {
    type: "string",
    alias: "r",
    mayBeEmpty: true,
    description: "token role of the host token, CLUSTER-ROLE; needed to exchange the init token",
    env: "VAULT_INIT_ROLE",
    valueHint: "NAME",
    group: "Host",
  },
} as const satisfies Arguments;

/**
 * Runs a script as a process. Reads its command line strictly, reports a failure in one sentence (with `--json` also as
 * one object on standard output), and exits with the code of the outcome.
 *
 * @param calledAs what was typed to call it: messages start with it, and the help's examples use it
 */
export async function runScript<T extends ArgsDef & Arguments>(
  script: Script<T>,
  rawArgs: readonly string[] = process.argv.slice(2),
  calledAs: string = script.name,
): Promise<void> {
  let log = createLog(calledAs, 1);
  const stop = stopSignal();
  keepMemoryOutOfCoreDumps();
  // Files and folders are created with explicit modes. An umask that takes rights from the owner would get in the way.
  process.umask(0o077);
  let code: ExitCode;
  try {
    code = await perform();
  } catch (error) {
    log.error(error);
    code = exitCodeOf(error);
    if (asksForJson(rawArgs)) printFailure(error, endCode(code, stop.signalExitCode()));
  }
  // An idle connection would keep the process alive.
  process.exit(endCode(tellOutput(code, log), stop.signalExitCode()));

  async function help(): Promise<string> {
    const { renderHelp } = await import("./help.ts");
    return renderHelp(script, calledAs);
  }

  async function perform(): Promise<ExitCode> {
    if (asksFor(rawArgs, "--help", "-h")) return answer(await help());
    if (asksFor(rawArgs, "--version", "-v")) return answer(`${calledAs} ${version}`);
    const plain = checkArguments(script.args, rawArgs, calledAs);
    // Other forms, such as `--help=true` and `-hl2`.
    if (asksFor(plain, "--help")) return answer(await help());
    if (asksFor(plain, "--version")) return answer(`${calledAs} ${version}`);
    const args = argumentValues(script.args, plain);
    log = createLog(calledAs, parseLogLevel(String(args["log-level"])));
    stop.after(timeLimitMs(String(args.timeout ?? script.timeLimit?.(args))));
    return (await script.run(args, createRun(log, stop))) ?? ExitCode.ok;
  }
}

/** Prints the help or the version. */
function answer(text: string): ExitCode {
  printLines(text);
  return ExitCode.ok;
}

/** The process's exit code. If a signal came, a run that failed exits with the signal's code; a run that is done, 0. */
function endCode(code: ExitCode, ofSignal: number | undefined): number {
  return code === ExitCode.ok ? code : (ofSignal ?? code);
}

/** The memory holds tokens and keys. Units have LimitCORE=0 as well; a command typed by hand has only this. */
function keepMemoryOutOfCoreDumps(): void {
  try {
    writeFileSync("/proc/self/coredump_filter", "0");
  } catch {
    // another system does not have this file, or it can't be written
  }
}

/** Whether one of the flags is given. After `--` every word is a value. */
function asksFor(rawArgs: readonly string[], ...flags: string[]): boolean {
  for (const word of rawArgs) {
    if (word === "--") return false;
    if (flags.includes(word)) return true;
  }
  return false;
}

/** Whether `--json` is given, even if the rest of the command line is wrong. */
export function asksForJson(rawArgs: readonly string[]): boolean {
  return asksFor(rawArgs, "--json", ...trueWords.map((it) => `--json=${it}`));
}

function createRun(log: Log, { signal, timeLeftMs }: ReturnType<typeof stopSignal>): Run {
  const env = { ...process.env };
  // `proxyFor` applies these. The runtime would apply them again, by its own rules, and bypass our proxy.
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
          // The random wait may be close to zero.
          const seconds = Math.max(0.1, waitMs / 1000).toFixed(1);
          log.note(`${error.message}; trying again in ${seconds} s`);
        },
      });
    },
  };
}

function warnOfRisks(address: string, skipVerify: boolean, log: Log): void {
  if (skipVerify) log.note("VAULT_SKIP_VERIFY is set: any server that answers is trusted and gets the token");
  if (/^http:/i.test(address) && URL.canParse(address) && !isLoopback(new URL(address))) {
    log.note(`${address} is not encrypted: anyone on the network path can read the token`);
  }
}

function timeLimitMs(text: string): number {
  const milliseconds = parseDuration(text) * 1000;
  // A longer time would overflow the timer, which would then fire at once.
  if (milliseconds > 0 && milliseconds < 2 ** 31) return milliseconds;
  throw new Failure("usage", `--timeout ${text} is out of range: it has to be more than 0 and at most 24d`);
}

/** A signal that aborts when the process is asked to end or the time is over. Requests end; no file is half written. */
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
    /** The exit code that a shell reports for a process ended by that signal. */
    signalExitCode: () => exitCode,
    timeLeftMs: () => endsAt - performance.now(),
    after(milliseconds: number) {
      endsAt = performance.now() + milliseconds;
      const sentence = `the time limit of ${milliseconds / 1000} s is over`;
      setTimeout(() => controller.abort(new Failure("temporary", sentence)), milliseconds).unref();
    },
  };
}
