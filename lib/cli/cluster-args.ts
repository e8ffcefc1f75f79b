import { type Cluster, defineCluster, type HostRole, hostRoles } from "../cluster/cluster.ts";
import { withFile } from "../cluster/cluster-file.ts";
import type { FileChoice } from "../cluster/setup-plan.ts";
import { parseDuration } from "../duration.ts";
import { Failure } from "../failure.ts";
import type { Arguments } from "./arguments.ts";
import { clusterFileArgs, loadClusterFile } from "./cluster-file.ts";
import { readInitTokenFiles } from "./init-token-files.ts";
import { commonArgs, general } from "./script.ts";
import { validityArgs } from "./validity-args.ts";

/** The arguments of `setup` and of both its halves, `setup-mounts` and `write-roles`. */
export const setupArgs = {
  cluster: {
    type: "positional",
    required: false,
    description:
      "the cluster's id: a letter, then lower-case letters, digits and -; not needed with a cluster file",
  },
  ...clusterFileArgs,
  "dry-run": {
    type: "boolean",
    description: "show what would change, and change nothing",
    group: "Plan",
  },
  "print-policy": {
    type: "boolean",
    description: "print the policy that the token of this run needs, and ask no server",
    group: "Plan",
  },
  check: {
    type: "boolean",
    description: "like --dry-run, and exit with 2 if something would change",
    group: "Plan",
  },
  json: {
    type: "boolean",
    description: "print the plan and its outcome as one JSON object",
    group: general,
  },
  ...commonArgs,
} as const satisfies Arguments;

const { "max-validity-ca": ca, ...rolesValidity } = validityArgs;

/** Further arguments about mounts and CAs. */
export const mountArgs = { "max-validity-ca": ca } as const satisfies Arguments;

const initToken = {
  type: "string",
  description: "id of this host role's init token, visible to every user of the machine; random if not given",
  valueHint: "ID",
  group: "Init tokens",
} as const;

/** Further arguments about roles and tokens. */
export const roleArgs = {
  ...rolesValidity,
  "init-token-etcd": initToken,
  "init-token-master": initToken,
  "init-token-worker": initToken,
  "init-token-all": initToken,
  "init-token-file": {
    type: "string",
    list: true,
    description: "file with the id of a host role's init token, or - for standard input",
    valueHint: "ROLE=FILE",
    group: "Init tokens",
  },
  "rotate-init-token": {
    type: "string",
    list: true,
    description: "revoke this host role's init token and make a new one, after a leak for example",
    valueHint: "ROLE",
    choices: hostRoles,
    group: "Init tokens",
  },
} as const satisfies Arguments;

type TextFlag = "cluster" | "config" | keyof typeof mountArgs | keyof typeof roleArgs;

/** The values of those arguments. */
interface ClusterArgs extends Readonly<Partial<Record<TextFlag, string | undefined>>> {
  readonly narrow?: boolean | undefined;
}

/** The ids of init tokens, from the command line or from files. */
function initTokensOf(args: ClusterArgs): Cluster["initTokens"] {
  const chosen = hostRoles.flatMap((role): Array<[HostRole, string]> => {
    const id = args[`init-token-${role}`];
    return id === undefined ? [] : [[role, id]];
  });
  const files = readInitTokenFiles(args["init-token-file"]);
  const twice = chosen.find(([role]) => files.some(([it]) => it === role))?.[0];
  if (twice === undefined) return Object.fromEntries([...chosen, ...files]);
  throw new Failure(
    "usage",
    `--init-token-${twice} and --init-token-file ${twice}=… can't be used together`,
    {
      hint: "give only the file: every user can see a command line",
    },
  );
}

/** @throws Failure (usage) for a word that is not a host role */
function rotatedOf(text: string | undefined): readonly HostRole[] {
  const words = text === undefined ? [] : text.split(",").map((word) => word.trim());
  return words.map((word) => {
    const role = hostRoles.find((it) => it === word);
    if (role !== undefined) return role;
    throw new Failure("usage", `--rotate-init-token takes a host role, and ${word} is not one`, {
      hint: `the host roles are ${hostRoles.join(", ")}`,
    });
  });
}

/** The cluster that a command line names, and the file that it is set up by. */
export interface ClusterChoice extends FileChoice {
  readonly cluster: Cluster;
}

/**
 * The cluster that a command line describes.
 *
 * @throws Failure (usage) for an invalid value, or if flags and file contradict each other; (config) for an invalid
 *   file
 */
export function clusterOf(args: ClusterArgs): ClusterChoice {
  if (args.config !== undefined && args.narrow === true) {
    throw new Failure("usage", "--config and --narrow can't be used together", {
      hint: "--narrow goes back to a cluster without a file",
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
  // Throws if flags and file contradict each other, before the server is asked.
  if (file !== undefined) withFile(cluster, file);
  return { cluster, file, narrow: args.narrow };
}

function idOf(...ids: ReadonlyArray<string | undefined>): string {
  const id = ids.find((it) => it !== undefined);
  if (id !== undefined) return id;
  throw new Failure("usage", "<cluster> is missing", { hint: "give it, or --config with its id" });
}
