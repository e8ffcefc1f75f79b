import { ExitCode, Failure } from "../failure.ts";
import { type Loaded, loadManifest, loadManifests } from "../manifest/load.ts";
import type { Manifest } from "../manifest/manifest.ts";
import { type HookResult, runPendingHooks } from "../tasks/hooks.ts";
import { dueManifests, issueManifests, type Outcome, worstExitCode } from "../tasks/manifests.ts";
import { hostClient } from "./host-client.ts";
import { issuedJson, issuedSentence } from "./issued.ts";
import type { ManifestArgs } from "./manifest-args.ts";
import type { Run } from "./script.ts";

/**
 * Issues what the manifests ask for and is due, and runs their hooks.
 *
 * @returns the worst exit code of all that was done
 * @throws Failure when nothing could be done at all
 */
export async function runManifests(args: ManifestArgs, run: Run): Promise<ExitCode> {
  const when = parseWhen(args.hooks);
  const loaded = load(args);
  for (const failure of loaded.failures) run.log.error(failure);
  const codes = loaded.failures.map(({ exitCode }) => exitCode);
  const report: Record<string, unknown> = { broken: loaded.failures.map(({ message }) => message) };
  if (args.check === true) codes.push(await check(loaded.manifests, report, args, run));
  else {
    if (when !== "only") codes.push(...(await issue(loaded.manifests, report, args, run)));
    if (when !== "later") codes.push(...(await runHooks(loaded.manifests, report, args, run)));
  }
  if (args.json === true) console.log(JSON.stringify(report));
  return worstExitCode(codes);
}

function parseWhen(text: string): "now" | "later" | "only" {
  if (text === "now" || text === "later" || text === "only") return text;
  throw new Failure(ExitCode.usage, `--hooks ${text} can't be: use now, later or only`);
}

function load(args: ManifestArgs): Loaded {
  if (args.config === undefined) return loadManifests(args["config-dir"] ?? "");
  if (args["config-dir"] === undefined) return { manifests: [loadManifest(args.config)], failures: [] };
  throw new Failure(ExitCode.usage, "--config and --config-dir exclude each other");
}

async function check(
  manifests: readonly Manifest[],
  report: Record<string, unknown>,
  args: ManifestArgs,
  { log }: Run,
): Promise<ExitCode> {
  const due = await dueManifests(manifests);
  report.due = due.map(({ manifest, reasons }) => ({
    name: manifest.name,
    destination: manifest.destination,
    reasons,
  }));
  if (args.json !== true) {
    for (const { manifest, reasons } of due) log.done(`${manifest.name} is due: ${reasons.join("; ")}`);
  }
  return due.length === 0 ? ExitCode.ok : ExitCode.wouldChange;
}

async function issue(
  manifests: readonly Manifest[],
  report: Record<string, unknown>,
  args: ManifestArgs,
  run: Run,
): Promise<ExitCode[]> {
  const outcomes = await issueManifests(manifests, {
    client: await hostClient(args, run),
    signal: run.signal,
    onNote: ({ name }, sentence) => run.log.note(`${name}: ${sentence}`),
  });
  report.certificates = outcomes.map(outcomeJson);
  return outcomes.map((outcome) => tell(outcome, args, run));
}

/** What is as it was is not worth a line in the journal of each day. */
function tell(outcome: Outcome, args: ManifestArgs, { log }: Run): ExitCode {
  const { name, destination } = outcome.manifest;
  if ("failure" in outcome) {
    const { exitCode, message, hint } = outcome.failure;
    log.error(new Failure(exitCode, `${name}: ${message}`, { hint, cause: outcome.failure }));
    return exitCode;
  }
  const line = `${name}: ${issuedSentence(outcome.issued, destination)}`;
  if (outcome.issued.outcome === "not due") log.debug(line);
  else if (args.json !== true) log.done(line);
  return ExitCode.ok;
}

function outcomeJson(outcome: Outcome): Readonly<Record<string, unknown>> {
  const { name, destination } = outcome.manifest;
  return "failure" in outcome
    ? {
        name,
        destination,
        outcome: "failed",
        error: outcome.failure.message,
        exitCode: outcome.failure.exitCode,
      }
    : { name, ...issuedJson(outcome.issued, destination) };
}

async function runHooks(
  manifests: readonly Manifest[],
  report: Record<string, unknown>,
  args: ManifestArgs,
  { log, signal }: Run,
): Promise<ExitCode[]> {
  const results = await runPendingHooks(manifests, { signal, onLine: log.note });
  report.hooks = results;
  return results.map((result) => tellHook(result, args.json === true, log));
}

function tellHook({ hook, manifests, failure }: HookResult, json: boolean, log: Run["log"]): ExitCode {
  const of = `${hook} (for ${manifests.join(", ")})`;
  if (failure === undefined) {
    if (!json) log.done(`${of}: done`);
    return ExitCode.ok;
  }
  log.error(new Failure(ExitCode.tryLater, `${of}: ${failure}`, { hint: "it is run again by the next run" }));
  return ExitCode.tryLater;
}
