import type { ParsedArgs } from "citty";
import type { Cluster } from "../cluster/cluster.ts";
import type { MountContents } from "../cluster/mount-contents.ts";
import { teardownPolicy } from "../cluster/needed-policy.ts";
import type { Resource } from "../cluster/plan.ts";
import { type PlannedRemoval, planTeardown, type Teardown } from "../cluster/teardown.ts";
import { Failure } from "../failure.ts";
import { many } from "../words.ts";
import type { Arguments } from "./arguments.ts";
import { adminToken } from "./environment.ts";
import { ExitCode } from "./exit-code.ts";
import { printJson, stoppedJson } from "./log.ts";
import { sayIfSlow, tellProgress } from "./progress.ts";
import { printPolicy } from "./run-setup.ts";
import { commonArgs, general, type Run } from "./script.ts";
import { tableLines } from "./table.ts";

export const teardownArgs = {
  cluster: {
    type: "positional",
    required: true,
    description: "the cluster's id",
  },
  yes: {
    type: "string",
    description: "remove what the plan shows; confirm it by giving the cluster's id again",
    valueHint: "CLUSTER",
    group: "Plan",
  },
  "dry-run": {
    type: "boolean",
    description: "show what would be removed, and remove nothing",
    group: "Plan",
  },
  "print-policy": {
    type: "boolean",
    description: "print the policy that the token of this run needs, and ask no server",
    group: "Plan",
  },
  "revoke-hosts": { type: "boolean", description: "revoke the host tokens as well", group: "Plan" },
  json: {
    type: "boolean",
    description: "print the plan and its outcome as one JSON object",
    group: general,
  },
  ...commonArgs,
  // Certificates and tokens are counted one by one, which takes a while if there are many.
  timeout: { ...commonArgs.timeout, default: "10m" },
} as const satisfies Arguments;

type TeardownArgs = ParsedArgs<typeof teardownArgs>;

/**
 * Plans the removal of a cluster, shows the plan, and carries it out if the cluster's id is given twice.
 *
 * @throws Failure (usage) if the second id is missing or different; as `planTeardown` and `apply`
 */
export async function runTeardown(cluster: Cluster, args: TeardownArgs, run: Run): Promise<ExitCode> {
  const { log } = run;
  const isConfirmed = checkConfirmed(cluster, args);
  if (args["print-policy"] === true) return printPolicy(cluster, teardownPolicy(cluster), args);
  const revokeHosts = args["revoke-hosts"] === true;
  const onProgress = tellProgress(log);
  const teardown = await planTeardown(run.client(adminToken(run.env)), cluster, onProgress);
  const show = (line: string) => (args.json === true ? undefined : log.done(line));
  for (const line of planLines(cluster, teardown, revokeHosts)) show(line);

  const removed: Resource[] = [];
  let revokedHostTokens = 0;
  let isOver = () => {};
  const report = (outcome: object = {}) => {
    if (args.json !== true) return;
    printJson({ ...planJson(cluster, teardown), removed: removed.length, revokedHostTokens, ...outcome }, 2);
  };
  try {
    const onRemoving = ({ kind, path }: Resource) => {
      isOver = sayIfSlow(log, `removing ${kind} ${path} takes the server a while; still waiting`);
    };
    const onRemoved = (resource: Resource) => {
      isOver();
      removed.push(resource);
      show(`removed ${resource.kind} ${resource.path}`);
    };
    const onRevoked = (count: number) => {
      revokedHostTokens = count;
    };
    const options = { revokeHosts, onProgress, onRemoving, onRemoved, onRevoked };
    if (isConfirmed) await teardown.apply(options);
  } catch (error) {
    report(stoppedJson(error));
    if (removed.length + revokedHostTokens > 0)
      log.note(
        `stopped after ${removedWords(removed.length, revokedHostTokens || undefined)}; run it again to go on`,
      );
    throw error;
  } finally {
    isOver();
  }
  const isNothing = teardown.removals.length === 0 && !(revokeHosts && hasHosts(teardown));
  const isLook = isNothing || args["dry-run"] === true;
  if (!isLook && !isConfirmed) {
    const failure = unconfirmed(cluster);
    report(stoppedJson(failure));
    throw failure;
  }
  report();
  if (isLook) return ExitCode.ok;
  show(`${cluster.id}: removed ${removedWords(removed.length, revokeHosts ? revokedHostTokens : undefined)}`);
  return ExitCode.ok;
}

/** `20 objects and 3 host tokens` */
function removedWords(objects: number, hostTokens: number | undefined): string {
  const hosts = hostTokens === undefined ? "" : ` and ${many(hostTokens, "host token")}`;
  return `${many(objects, "object")}${hosts}`;
}

/** @returns whether the cluster's id is given twice */
function checkConfirmed(
  { id }: Cluster,
  { yes, "dry-run": dryRun, "print-policy": policy }: TeardownArgs,
): boolean {
  const other = yes !== undefined ? "--yes" : dryRun === true ? "--dry-run" : undefined;
  if (policy === true && other !== undefined) {
    throw new Failure("usage", `--print-policy and ${other} can't be used together`, {
      hint: "--print-policy asks no server, and the policy does not depend on one",
    });
  }
  if (yes !== undefined && dryRun === true) {
    throw new Failure("usage", "--dry-run and --yes can't be used together", {
      hint: "look with --dry-run first, then remove with --yes",
    });
  }
  if (yes === undefined || yes === id) return yes !== undefined;
  throw new Failure("usage", `--yes names ${JSON.stringify(yes)}, but the cluster is ${id}`, {
    hint: "nothing was removed; give the same id twice",
  });
}

function unconfirmed({ id }: Cluster): Failure {
  return new Failure("usage", "nothing was removed: it has to be confirmed with the cluster's id", {
    hint: `add --yes ${id}`,
  });
}

function hasHosts({ hostTokens }: Teardown): boolean {
  return Object.keys(hostTokens).length > 0;
}

function planLines(cluster: Cluster, teardown: Teardown, revokeHosts: boolean): readonly string[] {
  const { removals, kept, hostTokens, otherTokens } = teardown;
  const hosts = Object.entries(hostTokens).map(([role, count]) => `${count} of ${role}`);
  return [
    ...(removals.length === 0 ? [`${cluster.id}: nothing from set-up is there`] : []),
    ...tableLines(
      removals.map(({ resource, contents }) => [
        "remove",
        resource.kind,
        resource.path,
        ...(contents === undefined ? [] : [contentWords(contents)]),
      ]),
    ),
    ...kept.map(({ resource, why }) => `leave ${resource.kind} ${resource.path}: ${why}`),
    ...(hosts.length === 0 ? [] : [`${revokeHosts ? "revoke" : "leave"} host tokens: ${hosts.join(", ")}`]),
    ...(hosts.length === 0 || revokeHosts ? [] : [leftHosts(cluster)]),
    ...(otherTokens === 0 ? [] : [`leave ${many(otherTokens, "other token")} with a policy of the cluster`]),
    ...(removals.length === 0 ? [] : ["leave auth/token's max lease TTL, which other tokens may need"]),
    ...losses(removals),
  ];
}

/** A new cluster with the same name would have policies and token roles with the same names: the tokens work again. */
function leftHosts({ id }: Cluster): string {
  return `  they are of no use until a cluster ${id} is set up again, and can't be renewed; --revoke-hosts revokes them`;
}

/** `1 unexpired certificate of 3 stored, 1 issuer` */
function contentWords(contents: MountContents): string {
  const { unexpiredCertificates, storedCertificates, issuers = 0, otherRoles = 0 } = contents;
  const { secrets = 0, otherSecrets = 0, folders = 0 } = contents;
  return [
    unexpiredCertificates === undefined
      ? []
      : `${many(unexpiredCertificates, "unexpired certificate")} of ${storedCertificates} stored`,
    issuers === 0 ? [] : many(issuers, "issuer"),
    otherRoles === 0 ? [] : `${many(otherRoles, "role")} not from set-up`,
    secrets === 0 ? [] : many(secrets, "secret"),
    otherSecrets === 0 ? [] : `${otherSecrets} of them not from set-up`,
    folders === 0 ? [] : `${many(folders, "folder")} of more secrets, not from set-up`,
  ]
    .flat()
    .join(", ");
}

/** What is lost for ever, because no host has a copy of it. The plan must show it. */
function losses(removals: readonly PlannedRemoval[]): readonly string[] {
  const held = removals.map(({ contents }) => contents ?? {});
  const cas = held.reduce((sum, { caKeys = 0 }) => sum + caKeys, 0);
  const hasSecrets = held.some(({ secrets = 0 }) => secrets > 0);
  const lost = [
    ...(cas > 0 ? [`the keys of ${many(cas, "CA")}`] : []),
    ...(hasSecrets
      ? ["the service accounts' key", "the encryption config (what it encrypted can't be read without it)"]
      : []),
  ];
  return lost.length === 0 ? [] : [`lost for ever: ${lost.join(", ")}`];
}

function planJson(cluster: Cluster, { removals, kept, hostTokens, otherTokens }: Teardown) {
  const name = ({ kind, path }: Resource) => ({ kind, path });
  return {
    cluster: cluster.id,
    removals: removals.map(({ resource, contents }) => ({ ...name(resource), contents })),
    kept: kept.map(({ resource, why }) => ({ ...name(resource), why })),
    hostTokens,
    otherTokens,
  };
}
