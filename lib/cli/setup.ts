import type { ParsedArgs } from "citty";
import { type Cluster, defineCluster, type HostRole, hostRoles } from "../cluster/cluster.ts";
import { type Half, withFile } from "../cluster/cluster-file.ts";
import type { FieldChange } from "../cluster/compare.ts";
import { setupPolicy } from "../cluster/needed-policy.ts";
import type { Change } from "../cluster/plan.ts";
import type { FileChoice, Setup } from "../cluster/setup.ts";
import { durationText, formatDuration, parseDuration } from "../duration.ts";
import { Failure } from "../failure.ts";
import type { VaultClient } from "../vault/client.ts";
import { many } from "../words.ts";
import type { Arguments } from "./arguments.ts";
import { clusterFileArgs, loadClusterFile } from "./cluster-file.ts";
import { adminToken } from "./environment.ts";
import { ExitCode } from "./exit-code.ts";
import { readInitTokenFiles } from "./init-token-files.ts";
import { printJson, printLines, stoppedJson } from "./log.ts";
import { commonArgs, general, type Run } from "./script.ts";
import { validityArgs } from "./validity-args.ts";

/** What a set-up and both halves of it take. */
export const setupArgs = {
  cluster: {
    type: "positional",
    required: false,
    description: "the cluster's id: a letter, then small letters, digits and -; may stand in its file",
  },
  ...clusterFileArgs,
  "dry-run": {
    type: "boolean",
    description: "show what would change, and change nothing",
    group: "Plan",
  },
  "print-policy": {
    type: "boolean",
    description: "print the policy that this run needs, for a token with less than root; ask no server",
    group: "Plan",
  },
  check: {
    type: "boolean",
    description: "as --dry-run, and exit with 2 when something would change",
    group: "Plan",
  },
  json: {
    type: "boolean",
    description: "the plan and what came of it as one JSON object",
    group: general,
  },
  ...commonArgs,
} as const satisfies Arguments;

const { "max-validity-ca": ca, ...rolesValidity } = validityArgs;

/** What mounts and CAs take beside it. */
export const mountArgs = { "max-validity-ca": ca } as const satisfies Arguments;

const initToken = {
  type: "string",
  description: "id of this host role's init token, which every user sees then; made at random else",
  valueHint: "ID",
  group: "Init tokens",
} as const;

/** What roles and tokens take beside it. */
export const roleArgs = {
  ...rolesValidity,
  "init-token-etcd": initToken,
  "init-token-master": initToken,
  "init-token-worker": initToken,
  "init-token-all": initToken,
  "init-token-file": {
    type: "string",
    list: true,
    description: "file of a host role's init token, - for standard input; repeat it for more",
    valueHint: "ROLE=FILE",
    group: "Init tokens",
  },
  "rotate-init-token": {
    type: "string",
    list: true,
    description: "end this host role's init token and make another, as after a leak; repeat it for more",
    valueHint: "ROLE",
    choices: hostRoles,
    group: "Init tokens",
  },
} as const satisfies Arguments;

type TextFlag = "cluster" | "config" | keyof typeof mountArgs | keyof typeof roleArgs;

/** What is given for those flags. */
interface ClusterArgs extends Readonly<Partial<Record<TextFlag, string | undefined>>> {
  readonly narrow?: boolean | undefined;
}

/** The init tokens' ids that a command line gives. */
function initTokensOf(args: ClusterArgs): Cluster["initTokens"] {
  const chosen = hostRoles.flatMap((role): Array<[HostRole, string]> => {
    const id = args[`init-token-${role}`];
    return id === undefined ? [] : [[role, id]];
  });
  const files = readInitTokenFiles(args["init-token-file"]);
  const twice = chosen.find(([role]) => files.some(([it]) => it === role))?.[0];
  if (twice === undefined) return Object.fromEntries([...chosen, ...files]);
  throw new Failure("usage", `--init-token-${twice} and --init-token-file ${twice}=… exclude each other`, {
    hint: "give the file alone: what is on a command line is seen by every user",
  });
}

/** @throws Failure (usage) for a word that is no host role */
function rotatedOf(text: string | undefined): readonly HostRole[] {
  const words = text === undefined ? [] : text.split(",").map((word) => word.trim());
  return words.map((word) => {
    const role = hostRoles.find((it) => it === word);
    if (role !== undefined) return role;
    throw new Failure("usage", `--rotate-init-token takes a host role, and ${word} is none`, {
      hint: `the host roles are ${hostRoles.join(", ")}`,
    });
  });
}

/** The cluster that a command line speaks of, and the file that it goes by. */
export interface Asked extends FileChoice {
  readonly cluster: Cluster;
}

/**
 * The cluster that a command line speaks of, as its flags say.
 *
 * @throws Failure (usage) for what can't be, or where flags say other than the file; (config) for a file that
 *   is not right
 */
export function clusterOf(args: ClusterArgs): Asked {
  if (args.config !== undefined && args.narrow === true) {
    throw new Failure("usage", "--config and --narrow exclude each other", {
      hint: "--narrow is to go back to a cluster without a file",
    });
  }
  const seconds = (text: string | undefined) => (text === undefined ? undefined : parseDuration(text));
  const chosen = {
    caValiditySeconds: seconds(args["max-validity-ca"]),
    adminValiditySeconds: seconds(args["max-validity-admin"]),
    componentValiditySeconds: seconds(args["max-validity-components"]),
  };
  const given = Object.entries(chosen).filter(([, value]) => value !== undefined);
  const file = args.config === undefined ? undefined : loadClusterFile(args.config);
  const cluster = defineCluster(idOf(args.cluster, file?.id), {
    ...Object.fromEntries(given),
    initTokens: initTokensOf(args),
    rotatedInitTokens: rotatedOf(args["rotate-init-token"]),
  });
  // What the two say against each other is told before the server is asked.
  if (file !== undefined) withFile(cluster, file);
  return { cluster, file, narrow: args.narrow };
}

function idOf(...ids: ReadonlyArray<string | undefined>): string {
  const id = ids.find((it) => it !== undefined);
  if (id !== undefined) return id;
  throw new Failure("usage", "<cluster> is missing", { hint: "give it, or --config with its id" });
}

/** A set-up or one half of it. */
export interface SetupJob {
  /** For the last line. */
  readonly what: string;
  readonly halves: readonly Half[];
  readonly makePlan: (client: VaultClient, cluster: Cluster, choice: FileChoice) => Promise<Setup>;
}

/** Prints a policy as a command of the server takes it, and for a machine as one text. */
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
 * Plans a set-up or one half of it, shows it, and applies it unless asked not to.
 *
 * @throws Failure (usage) where flags exclude each other; what the plan and its changes throw
 */
export async function runSetup(
  { cluster, ...choice }: Asked,
  { what, halves, makePlan }: SetupJob,
  args: ParsedArgs<typeof setupArgs>,
  run: Run,
): Promise<ExitCode> {
  checkSetupArgs(args);
  if (args["print-policy"] === true) return printPolicy(cluster, setupPolicy(cluster, halves), args);
  const setup = await makePlan(run.client(adminToken(run.env)), cluster, choice);
  if (setup.file === "stored") run.log.note(storedNote(cluster));
  const dry = args["dry-run"] === true || args.check === true;
  const show = (line: string) => (args.json === true ? undefined : run.log.done(line));
  const showChange = (change: Change) => changeLines(change).forEach(show);
  if (dry) setup.changes.forEach(showChange);

  const applied: Change[] = [];
  const report = (more: object) => {
    if (args.json !== true) return;
    const changes = setup.changes.map(changeJson);
    const file = setup.file === undefined ? {} : { file: setup.file };
    printJson({ cluster: cluster.id, ...file, dryRun: dry, changes, applied: applied.length, ...more }, 2);
  };
  try {
    const renewals = dry
      ? []
      : await setup.apply((change) => {
          applied.push(change);
          showChange(change);
        });
    for (const { role, leaseSeconds } of renewals)
      show(`renewed init token ${role}, ${formatDuration(leaseSeconds)} left`);
    report({ renewed: renewals.map(({ role, leaseSeconds }) => ({ role, ttlSeconds: leaseSeconds })) });
  } catch (error) {
    report(stoppedJson(error));
    if (applied.length > 0) run.log.note(`stopped after ${countActions(applied)}; run it again to go on`);
    throw error;
  }
  show(summary(cluster, what, setup.changes, dry));
  return args.check === true && setup.changes.length > 0 ? ExitCode.wouldChange : ExitCode.ok;
}

function storedNote({ id }: Cluster): string {
  return `${id} was set up with a file, and goes on as that said; --config changes it, --narrow ends it`;
}

function summary(cluster: Cluster, what: string, changes: readonly Change[], dry: boolean): string {
  if (changes.length === 0) return `${cluster.id}: nothing has to change, ${what} are as they should be`;
  return `${cluster.id}: ${countActions(changes)}${dry ? " to make; nothing was changed" : ""}`;
}

/** `3 changes (1 created, 2 updated)` */
function countActions(changes: readonly Change[]): string {
  const of = (action: Change["action"]) => changes.filter((change) => change.action === action).length;
  const [made, changed, gone] = [of("create"), of("update"), of("delete")];
  const kinds = `${made} created, ${changed} updated${gone === 0 ? "" : `, ${gone} deleted`}`;
  return `${many(changes.length, "change")} (${kinds})`;
}

/**
 * `update PKI role demo/pki/k8s/roles/kubelet: key_type "rsa" -> "any", max_ttl 30d -> 7d`. Below a policy's line, one
 * for each line of a rule that comes or goes: `  + demo/pki/k8s/sign/kubelet: denied_parameters = { "not_after" = [] }`
 */
function changeLines({ action, resource, fields }: Change): readonly string[] {
  const line = `${action} ${resource.kind} ${resource.path}`;
  const words = fields.length === 0 ? line : `${line}: ${fields.map(fieldWords).join(", ")}`;
  return [words, ...fields.flatMap(ruleChanges).map((it) => `  ${it}`)];
}

function fieldWords({ field, from, to }: FieldChange): string {
  return isText(to) ? field : `${field} ${valueWords(field, from)} -> ${valueWords(field, to)}`;
}

/** A duration is in seconds in the server's fields; one that a person wrote has its unit. */
function valueWords(field: string, value: unknown): string {
  const isDuration = /(^|_)(ttl|period)$/.test(field) && Number.isSafeInteger(value);
  return isDuration ? durationText(Number(value)) : JSON.stringify(value);
}

/** Too long for a line. */
function isText(value: unknown): value is string {
  return typeof value === "string" && value.includes("\n");
}

function ruleChanges({ from, to }: FieldChange): readonly string[] {
  if (!isText(to)) return [];
  const [before, after] = [ruleLines(String(from)), ruleLines(to)];
  return [
    ...before.filter((it) => !after.includes(it)).map((it) => `- ${it}`),
    ...after.filter((it) => !before.includes(it)).map((it) => `+ ${it}`),
  ];
}

/** What a policy says of each path, line by line. */
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

/** @throws Failure (usage) where both a look and a change are asked for in ways that exclude each other */
function checkSetupArgs(args: ParsedArgs<typeof setupArgs>): void {
  const other = args["dry-run"] === true ? "--dry-run" : args.check === true ? "--check" : undefined;
  if (args["print-policy"] === true && other !== undefined) {
    throw new Failure("usage", `--print-policy and ${other} exclude each other`, {
      hint: "the policy is the same whatever stands in the server, which is not asked for it",
    });
  }
  if (args["dry-run"] === true && args.check === true) {
    throw new Failure("usage", "--dry-run and --check exclude each other", {
      hint: "--check does what --dry-run does, and exits with 2 when something would change",
    });
  }
}
