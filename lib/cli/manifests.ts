import { dirname } from "node:path";
import { Failure, reworded } from "../failure.ts";
import { type Loaded, loadManifest, loadManifests } from "../manifest/load.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { listDue, lookAtAll, type Outcome, renewAll } from "../renewal/renew-all.ts";
import { type HookResult, pendingHooks, runPendingHooks } from "../tasks/hooks.ts";
import { withUnitHint } from "../tasks/own-unit.ts";
import type { VaultClient } from "../vault/client.ts";
import { ExitCode, exitCodeOf, worstExitCode } from "./exit-code.ts";
import { hostClient } from "./host-client.ts";
import { issuedJson, issuedSentence } from "./issued.ts";
import { printJson, stoppedJson } from "./log.ts";
import type { ManifestArgs } from "./manifest-args.ts";
import type { Run } from "./script.ts";

/** One run over the manifests, and what it gathers. */
interface Job extends Run {
  readonly args: ManifestArgs;
  readonly manifests: readonly Manifest[];
  /** For `--json`. */
  readonly report: Record<string, unknown>;
  /** Logs a failure, the same one only once, and returns its exit code. */
  fail(failure: Failure, name?: string): ExitCode;
}

/**
 * Issues the manifests' certificates that are due, and runs their hooks.
 *
 * @returns the worst exit code of all manifests and hooks
 * @throws Failure (usage) for flags that can't be used together; other kinds when no manifest could be read at all
 */
export async function runManifests(args: ManifestArgs, run: Run): Promise<ExitCode> {
  const when = parseWhen(args);
  const { manifests, failures } = load(args);
  const told = new Set<string>();
  const job: Job = {
    ...run,
    args,
    manifests,
    report: { broken: failures.map(({ message }) => message) },
    fail(failure, name) {
      const { message } = failure;
      const sentence = name === undefined ? message : `${name}: ${message}`;
      if (!told.has(sentence)) run.log.error(reworded(failure, { sentence }));
      told.add(sentence);
      return exitCodeOf(failure);
    },
  };
  const codes = failures.map((failure) => job.fail(failure));
  if (args.check === true) codes.push(...(await check(job)));
  else {
    const quiet: Manifest[] = [];
    if (when !== "only") codes.push(...(await issue(job, quiet)));
    if (when !== "later") codes.push(...(await runHooks(job, quiet)));
  }
  if (args.json === true) printJson(job.report);
  return worstExitCode(codes);
}

function parseWhen(args: ManifestArgs): "now" | "later" | "only" {
  const { hooks, check, "refresh-ca": refreshCa } = args;
  refuseIdleReissue(args);
  if (hooks !== "now" && hooks !== "later" && hooks !== "only") {
    throw new Failure("usage", `--hooks ${hooks} is not a choice: use now, later or only`);
  }
  if (refreshCa === true && (check === true || hooks === "only")) {
    const other = check === true ? "--check" : "--hooks only";
    throw new Failure("usage", `--refresh-ca and ${other} can't be used together: ${other} asks no server`, {
      hint: "leave one of them out; vault-helper status shows whether the server's CAs have changed, and changes nothing",
    });
  }
  if (check !== true || hooks === "now") return hooks;
  throw new Failure("usage", "--check and --hooks can't be used together: a check runs no hooks");
}

/** Refuses --reissue with a flag that it contradicts, or that it makes needless. */
function refuseIdleReissue({ reissue, check, hooks, "refresh-ca": refreshCa }: ManifestArgs): void {
  if (reissue !== true) return;
  const contradictions = [
    ...(check === true ? [["--check", "--check asks no server"]] : []),
    ...(hooks === "only" ? [["--hooks only", "--hooks only asks no server"]] : []),
    ...(refreshCa === true ? [["--refresh-ca", "new certificates bring the server's CAs with them"]] : []),
  ];
  for (const [other, why] of contradictions) {
    const hint = "leave one of them out; nothing was done";
    throw new Failure("usage", `--reissue and ${other} can't be used together: ${why}`, { hint });
  }
}

function load(args: ManifestArgs): Loaded {
  if (args.config === undefined) return loadManifests(args["config-dir"] ?? "");
  if (args["config-dir"] === undefined) return { manifests: [loadManifest(args.config)], failures: [] };
  throw new Failure("usage", "--config and --config-dir can't be used together", {
    hint: "give one manifest, or the folder with all of them",
  });
}

async function check({ args, manifests, report, log, fail }: Job): Promise<ExitCode[]> {
  const due = await listDue(manifests);
  const { results: hooks, failures } = pendingHooks(
    manifests.filter((it) => !due.some((one) => one.manifest === it && "failure" in one)),
  );
  report.due = due.flatMap((one) =>
    "failure" in one
      ? []
      : [{ name: one.manifest.name, destination: one.manifest.destination, reasons: one.reasons }],
  );
  report.hooks = hooks;
  const tell = args.json === true ? () => {} : log.done;
  const codes = due.map((one) => {
    if ("failure" in one) return fail(one.failure, one.manifest.name);
    tell(`${one.manifest.name} is due: ${one.reasons.join("; ")}`);
    return ExitCode.wouldChange;
  });
  for (const hook of hooks) tell(`${hookSentence(hook)}: pending`);
  codes.push(...failures.map(({ manifest, failure }) => fail(failure, manifest.name)));
  return hooks.length === 0 ? codes : [...codes, ExitCode.wouldChange];
}

/** @param quiet takes the manifests without a pending hook: nothing more has to be done for them */
async function issue(job: Job, quiet: Manifest[]): Promise<ExitCode[]> {
  const { args, manifests, report, signal, log } = job;
  if (manifests.length === 0) return [];
  let client: VaultClient;
  const asked = hostClient(args, job);
  // The disk is read while the server renews the token, so only after that request is on its way.
  const looked = new Promise(setImmediate).then(() => lookAtAll(manifests));
  try {
    client = await asked;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    // Hooks pending from an earlier run need no server.
    Object.assign(report, stoppedJson(error));
    return [job.fail(error)];
  }
  const renewed = await renewAll(manifests, {
    client,
    seen: await looked,
    caCheck: args["refresh-ca"] === true ? "now" : "weekly",
    reissue: args.reissue === true,
    signal,
    onNote: (manifest, sentence) =>
      log.note(manifest === undefined ? sentence : `${manifest.name}: ${sentence}`),
  });
  let outcomes = renewed.map(withUnit);
  // Only when asked for: it reads each certificate.
  if (args.json === true) {
    const told = outcomes.map(withJson);
    report.certificates = told.map(({ json }) => json);
    outcomes = told.map(({ outcome }) => outcome);
  }
  for (const outcome of outcomes) {
    if ("issued" in outcome && !outcome.issued.isPending) quiet.push(outcome.manifest);
  }
  return outcomes.map((outcome) => tellOutcome(outcome, job));
}

/** A failure that comes from the unit's sandbox says how to let the unit in. */
function withUnit(outcome: Outcome): Outcome {
  if ("issued" in outcome) return outcome;
  const { manifest, failure } = outcome;
  return { manifest, failure: withUnitHint(failure, dirname(manifest.destination)) };
}

/** A certificate that is not due is not worth a line in the journal every day. */
function tellOutcome(outcome: Outcome, { args, log, fail }: Job): ExitCode {
  const { name, destination } = outcome.manifest;
  if ("failure" in outcome) return fail(outcome.failure, name);
  const line = () => `${name}: ${issuedSentence(outcome.issued, destination)}`;
  if (outcome.issued.outcome !== "not due") {
    if (args.json !== true) log.done(line());
  } else if (log.level >= 2) log.debug(line());
  return ExitCode.ok;
}

/** An outcome together with its JSON. If the certificate can't be read for it, the outcome is a failure. */
function withJson(outcome: Outcome): { readonly outcome: Outcome; readonly json: Record<string, unknown> } {
  const { manifest } = outcome;
  const { name, destination } = manifest;
  if ("failure" in outcome) {
    const failed = { name, destination, outcome: "failed", ...stoppedJson(outcome.failure) };
    return { outcome, json: failed };
  }
  try {
    return { outcome, json: { name, ...issuedJson(outcome.issued, destination) } };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return withJson({ manifest, failure: error });
  }
}

async function runHooks(job: Job, quiet: readonly Manifest[]): Promise<ExitCode[]> {
  const { report, signal, log } = job;
  const manifests = job.manifests.filter((it) => !quiet.includes(it));
  report.hooks = [];
  // Most days there is nothing to do.
  if (manifests.length === 0) return [];
  const { results, failures } = await runPendingHooks(manifests, { signal, onLine: log.note });
  report.hooks = results;
  return [
    ...results.map((result) => tellHook(result, job)),
    ...failures.map(({ manifest, failure }) => job.fail(failure, manifest.name)),
  ];
}

function tellHook(result: HookResult, { args, log, fail }: Job): ExitCode {
  const sentence = hookSentence(result);
  if (result.failure !== undefined) {
    const hint = "the next run tries it again";
    return fail(new Failure("temporary", `${sentence}: ${result.failure}`, { hint }));
  }
  if (result.note !== undefined) log.note(`${sentence}: ${result.note}`);
  else if (args.json !== true) log.done(`${sentence}: done`);
  return ExitCode.ok;
}

function hookSentence({ hook, manifests }: HookResult): string {
  return `${hook} (for ${manifests.join(", ")})`;
}
