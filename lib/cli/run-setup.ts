import type { ParsedArgs } from "citty";
import type { Cluster } from "../cluster/cluster.ts";
import type { Half } from "../cluster/cluster-file.ts";
import type { FieldChange } from "../cluster/compare.ts";
import { type DueCa, readDueCas } from "../cluster/due-cas.ts";
import { setupPolicy } from "../cluster/needed-policy.ts";
import type { Change } from "../cluster/plan.ts";
import type { FileChoice, SetupPlan } from "../cluster/setup-plan.ts";
import { durationText, formatDuration } from "../duration.ts";
import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { many } from "../words.ts";
import { actionText } from "./action.ts";
import type { ClusterChoice, setupArgs } from "./cluster-args.ts";
import { adminToken } from "./environment.ts";
import { ExitCode } from "./exit-code.ts";
import { findingJson } from "./host-status-json.ts";
import { printJson, printLines, stoppedJson } from "./log.ts";
import type { Run } from "./script.ts";

/** A set-up, or one half of it. */
export interface SetupJob {
  /** The kinds of objects that it is about, for the last line. */
  readonly what: string;
  readonly halves: readonly Half[];
  readonly makePlan: (client: VaultClient, cluster: Cluster, choice: FileChoice) => Promise<SetupPlan>;
}

/** Prints a policy in the form that `vault policy write` reads, or as a JSON object with `--json`. */
export function printPolicy(
  cluster: Cluster,
  policy: string,
  { json }: { readonly json?: boolean | undefined },
): ExitCode {
  if (json === true) printJson({ cluster: cluster.id, policy });
  else printLines(policy.trimEnd());
  return ExitCode.ok;
}

/**
 * Plans a set-up or one half of it, shows the plan, and applies it unless a flag says not to.
 *
 * @throws Failure (usage) for flags that can't be used together; as `makePlan` and `apply`
 */
export async function runSetup(
  { cluster, ...choice }: ClusterChoice,
  { what, halves, makePlan }: SetupJob,
  args: ParsedArgs<typeof setupArgs>,
  run: Run,
): Promise<ExitCode> {
  checkSetupArgs(args);
  if (args["print-policy"] === true) return printPolicy(cluster, setupPolicy(cluster, halves), args);
  const client = run.client(adminToken(run.env));
  const setup = await makePlan(client, cluster, choice);
  if (setup.file === "stored") run.log.note(storedNote(cluster));
  const dry = args["dry-run"] === true || args.check === true;
  const show = (line: string) => (args.json === true ? undefined : run.log.done(line));
  const showChange = (change: Change) => changeLines(change).forEach(show);
  if (dry) setup.changes.forEach(showChange);

  const applied: Change[] = [];
  const report = (outcome: object) => {
    if (args.json !== true) return;
    const changes = setup.changes.map(changeJson);
    const file = setup.file === undefined ? {} : { file: setup.file };
    printJson({ cluster: cluster.id, ...file, dryRun: dry, changes, applied: applied.length, ...outcome }, 2);
  };
  const findDue = async () =>
    halves.includes("mounts") ? await dueCas(client, cluster, dry, run) : undefined;
  let due: readonly DueCa[] | undefined;
  try {
    const renewals = dry
      ? []
      : await setup.apply((change) => {
          applied.push(change);
          showChange(change);
        });
    for (const { role, leaseSeconds } of renewals)
      show(`renewed init token ${role}, ${formatDuration(leaseSeconds)} left`);
    due = await findDue();
    for (const line of (due ?? []).map(dueLine)) dry ? show(line) : run.log.note(line);
    report({
      renewed: renewals.map(({ role, leaseSeconds }) => ({ role, ttlSeconds: leaseSeconds })),
      ...(halves.includes("mounts") ? { due: due?.map(dueJson) ?? null } : {}),
    });
  } catch (error) {
    report(stoppedJson(error));
    if (applied.length > 0) run.log.note(`stopped after ${countActions(applied)}; run it again to go on`);
    throw error;
  }
  const dueCount = due?.length ?? 0;
  show(summary(cluster, what, setup.changes, dry, dueCount));
  return args.check === true && setup.changes.length + dueCount > 0 ? ExitCode.wouldChange : ExitCode.ok;
}

/**
 * The CAs that are due; undefined if that can't be found out. A policy that an earlier version printed lacks the rights.
 * And once the changes are made, nothing may fail any more.
 */
async function dueCas(
  client: VaultClient,
  cluster: Cluster,
  dry: boolean,
  { log }: Run,
): Promise<readonly DueCa[] | undefined> {
  try {
    return await readDueCas(client, cluster);
  } catch (error) {
    if (!(error instanceof Failure) || (dry && error.kind !== "permission")) throw error;
    const hint = error.hint === undefined ? "" : `; ${error.hint}`;
    log.note(`can't tell whether a CA is due: ${error.message}${hint}`);
    return undefined;
  }
}

/** `due CA demo/pki/k8s: has 40d left; from 2026-12-08 on it refuses …; to fix it: rotate-ca demo k8s` */
function dueLine({ mount, issuer, reasons, fix }: DueCa): string {
  const name = issuer === undefined || issuer.name === "" ? "" : ` ${issuer.name}`;
  const how = fix === undefined ? "" : `; to fix it: ${actionText(fix)}`;
  return `due CA ${mount}${name}: ${reasons.join("; ")}${how}`;
}

function dueJson({ mount, issuer, ...finding }: DueCa) {
  return { mount, issuer: issuer?.id ?? null, ...findingJson(finding) };
}

function storedNote({ id }: Cluster): string {
  return `${id} was set up with a file, which still counts; --config replaces it, --narrow goes back to none`;
}

function summary(
  cluster: Cluster,
  what: string,
  changes: readonly Change[],
  dry: boolean,
  dueCount: number,
): string {
  const due = dueCount === 0 ? "" : `; ${many(dueCount, "CA")} due`;
  if (changes.length > 0) {
    return `${cluster.id}: ${countActions(changes)}${dry ? " to make; nothing was changed" : ""}${due}`;
  }
  return `${cluster.id}: nothing to change${due === "" ? `, ${what} are as they should be` : due}`;
}

/** `3 changes (1 created, 2 updated)` */
function countActions(changes: readonly Change[]): string {
  const of = (action: Change["action"]) => changes.filter((change) => change.action === action).length;
  const [made, changed, gone] = [of("create"), of("update"), of("delete")];
  const kinds = `${made} created, ${changed} updated${gone === 0 ? "" : `, ${gone} deleted`}`;
  return `${many(changes.length, "change")} (${kinds})`;
}

/**
 * A change in one line: `update PKI role demo/pki/k8s/roles/kubelet: key_type "rsa" -> "any", max_ttl 30d -> 7d`.
 *
 * A policy has further lines, one for each line added or removed:
 * `  + demo/pki/k8s/sign/kubelet: denied_parameters = { "not_after" = [] }`
 */
function changeLines({ action, resource, fields }: Change): readonly string[] {
  const line = `${action} ${resource.kind} ${resource.path}`;
  const words = fields.length === 0 ? line : `${line}: ${fields.map(fieldWords).join(", ")}`;
  return [words, ...fields.flatMap(ruleChanges).map((it) => `  ${it}`)];
}

function fieldWords({ field, from, to }: FieldChange): string {
  return hasLines(to) ? field : `${field} ${valueWords(field, from)} -> ${valueWords(field, to)}`;
}

/** A field's value as people write it. The server's fields hold durations as numbers of seconds. */
function valueWords(field: string, value: unknown): string {
  const isDuration = /(^|_)(ttl|period)$/.test(field) && Number.isSafeInteger(value);
  return isDuration ? durationText(Number(value)) : JSON.stringify(value);
}

/** Such a value is too long for one line. */
function hasLines(value: unknown): value is string {
  return typeof value === "string" && value.includes("\n");
}

function ruleChanges({ from, to }: FieldChange): readonly string[] {
  if (!hasLines(to)) return [];
  const [before, after] = [ruleLines(String(from)), ruleLines(to)];
  return [
    ...before.filter((it) => !after.includes(it)).map((it) => `- ${it}`),
    ...after.filter((it) => !before.includes(it)).map((it) => `+ ${it}`),
  ];
}

/** The lines of a policy, each with the path that it is about. */
function ruleLines(policy: string): readonly string[] {
  let path = "";
  return policy.split("\n").flatMap((line) => {
    const start = /^\s*path\s+"([^"]*)"\s*\{/.exec(line);
    if (start?.[1] !== undefined) path = `${start[1]}: `;
    const text = line.slice(start?.[0].length ?? 0).trim();
    return text === "" || text === "}" ? [] : [path + text];
  });
}

/** A change for machines. */
export function changeJson({ action, resource, fields }: Change) {
  return { action, kind: resource.kind, path: resource.path, fields };
}

/** @throws Failure (usage) for flags that can't be used together */
function checkSetupArgs(args: ParsedArgs<typeof setupArgs>): void {
  const other = args["dry-run"] === true ? "--dry-run" : args.check === true ? "--check" : undefined;
  if (args["print-policy"] === true && other !== undefined) {
    throw new Failure("usage", `--print-policy and ${other} can't be used together`, {
      hint: "--print-policy asks no server, and the policy does not depend on one",
    });
  }
  if (args["dry-run"] === true && args.check === true) {
    throw new Failure("usage", "--dry-run and --check can't be used together", {
      hint: "--check does what --dry-run does, and exits with 2 if something would change",
    });
  }
}
