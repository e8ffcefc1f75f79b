import type { ParsedArgs } from "citty";
import { caKeyTypes, type KeyRule } from "../cluster/cluster.ts";
import { pkiMountNames } from "../cluster/mount-names.ts";
import { mountName, type WantedMount } from "../cluster/mounts.ts";
import type { RotationWish } from "../cluster/rotate-ca.ts";
import { Failure } from "../failure.ts";
import { chooseKeyType, keySizes } from "../x509/key-type.ts";
import type { Arguments } from "./arguments.ts";
import { mountArgs } from "./cluster-args.ts";
import { clusterFileArgs } from "./cluster-file.ts";
import { commonArgs, general } from "./script.ts";

export const rotateCaArgs = {
  cluster: { type: "positional", required: true, description: "the cluster's id" },
  mount: {
    type: "positional",
    required: true,
    description: `the mount whose CA changes: ${pkiMountNames.join(", ")}`,
    choices: pkiMountNames,
  },
  "new-key": {
    type: "boolean",
    description: "make a new CA with a new key beside the one that signs, and have it sign from then on",
    group: "New CA",
  },
  "key-type": {
    type: "string",
    alias: "t",
    description: "key type of the new CA; without it, as in the cluster file, else as before",
    choices: caKeyTypes,
    valueHint: "TYPE",
    group: "New CA",
  },
  "key-bit-size": { type: "string", alias: "b", description: keySizes, valueHint: "BITS", group: "New CA" },
  again: {
    type: "boolean",
    description: "make a new CA even if the one that signs is less than a day old",
    group: "New CA",
  },
  retire: {
    type: "boolean",
    description: "remove older CAs whose certificates have all expired or been revoked",
    group: "Old CAs",
  },
  force: {
    type: "boolean",
    description:
      "with --retire: remove them even if certificates are in use, and revoke those; for a stolen key, once hosts have new certificates",
    group: "Old CAs",
  },
  "delete-key": {
    type: "boolean",
    description: "delete the keys of retired CAs, which the mount keeps otherwise",
    group: "Old CAs",
  },
  config: clusterFileArgs.config,
  "max-validity-ca": {
    ...mountArgs["max-validity-ca"],
    description: "validity of the new certificate (as the file says, else the max lease TTL of the mount)",
  },
  "dry-run": { type: "boolean", description: "show what would change, and change nothing", group: "Plan" },
  check: {
    type: "boolean",
    description: "like --dry-run, and exit with 2 if something would change",
    group: "Plan",
  },
  "print-policy": {
    type: "boolean",
    description: "print the policy that the token of this run needs, and ask no server",
    group: "Plan",
  },
  json: { type: "boolean", description: "print the plan and its outcome as one JSON object", group: general },
  ...commonArgs,
  // Every certificate of the mount may have to be read.
  timeout: { ...commonArgs.timeout, default: "10m" },
} as const satisfies Arguments;

export type RotateCaArgs = ParsedArgs<typeof rotateCaArgs>;

/** @throws Failure (usage) for flags that can't be used together */
export function checkRotateCaArgs(args: RotateCaArgs): void {
  const refuse = (one: string, other: string, hint: string) => {
    throw new Failure("usage", `--${one} and --${other} can't be used together`, { hint });
  };
  const needs = (flag: keyof RotateCaArgs & string, other: keyof RotateCaArgs & string) => {
    if ((args[flag] ?? false) === false || args[other] === true) return;
    throw new Failure("usage", `--${flag} needs --${other}`, { hint: "see rotate-ca --help" });
  };
  for (const flag of ["retire", "delete-key"] as const) {
    if (args[flag] === true && args["new-key"] === true) {
      refuse(
        "new-key",
        flag,
        "make the new CA first, and remove the old one once its certificates have expired",
      );
    }
  }
  needs("key-type", "new-key");
  needs("key-bit-size", "new-key");
  needs("again", "new-key");
  needs("force", "retire");
  if (args["print-policy"] === true && (args["dry-run"] === true || args.check === true)) {
    refuse("print-policy", args.check === true ? "check" : "dry-run", "--print-policy asks no server");
  }
}

/** @throws Failure (usage) for a mount that is not the cluster's */
export function mountOf(text: string, mounts: readonly WantedMount[]): WantedMount {
  const found = mounts.find(({ path }) => path === text || mountName(path) === text);
  if (found !== undefined) return found;
  throw new Failure("usage", `${JSON.stringify(text)} is not a PKI mount of the cluster`, {
    hint: `its PKI mounts are ${pkiMountNames.join(", ")}`,
  });
}

/** What the flags of a rotation ask for. */
export function wishOf(args: RotateCaArgs): RotationWish {
  if (args["new-key"] !== true) return { renew: "certificate" };
  const key = chooseKeyType(args["key-type"], args["key-bit-size"]);
  return { renew: "key", key: key && ruleOf(key), again: args.again === true };
}

/** As the server takes it: a key of type ed25519 has no size. */
function ruleOf({ type, bits }: { readonly type: KeyRule["type"]; readonly bits: number }): KeyRule {
  return { type, bits: type === "ed25519" ? 0 : bits };
}
