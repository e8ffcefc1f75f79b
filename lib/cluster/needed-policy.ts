import { revokeAccessorPath } from "../vault/accessor.ts";
import type { Cluster } from "./cluster.ts";
import type { Half } from "./cluster-file.ts";
import { tokensRights } from "./cluster-tokens.ts";
import { dueRights } from "./due-cas.ts";
import { rotatedInitTokens } from "./init-token-resources.ts";
import { contentsRights } from "./mount-contents.ts";
import { mountResources, mountsRight } from "./mount-resources.ts";
import { pkiMounts, type WantedMount } from "./mounts.ts";
import { policyText } from "./policies.ts";
import { retirementRights } from "./retire-ca.ts";
import { mergeRights, type Right, right } from "./rights.ts";
import { roleResources } from "./role-resources.ts";
import { rotationRights } from "./rotate-ca.ts";
import { storedFilePath, storedFileRights } from "./stored-file.ts";

/**
 * The policy that set-up or one half of it needs besides the policy `default`. It is enough for a new cluster, for an
 * existing one in any state, and for any cluster file.
 */
export function setupPolicy(cluster: Cluster, halves: readonly Half[]): string {
  const resources = [
    ...(halves.includes("mounts") ? mountResources(cluster) : []),
    ...(halves.includes("roles") ? [...roleResources(cluster), ...rotatedInitTokens(cluster)] : []),
  ];
  return neededPolicy(cluster, [
    mountsRight,
    ...resources.flatMap(({ rights: { read, create, update } }) => [read, create, update].flatMap(orNone)),
    ...(halves.includes("mounts") ? dueRights(cluster) : []),
    // To delete roles that the cluster file no longer has.
    ...(halves.includes("roles")
      ? pkiMounts(cluster).map(({ path }) => right("delete", `${path}/roles/*`))
      : []),
    ...halves.flatMap((half) => Object.values(storedFileRights(cluster, half)).flat()),
  ]);
}

/** The policy that a teardown needs besides the policy `default`, with or without `--revoke-hosts`. */
export function teardownPolicy(cluster: Cluster): string {
  const going = [...mountResources(cluster), ...roleResources(cluster)].filter(({ removal }) => removal);
  return neededPolicy(cluster, [
    ...going.flatMap(({ rights }) => [rights.read, rights.delete].flatMap(orNone)),
    right("read", storedFilePath(cluster, "roles")),
    ...contentsRights(cluster),
    ...tokensRights,
    right("update", revokeAccessorPath),
  ]);
}

/** The policy that every form of a rotation of one mount's CA needs besides the policy `default`. */
export function rotationPolicy(cluster: Cluster, mount: WantedMount): string {
  return policyText(
    mergeRights([
      ...rotationRights(mount.path),
      right("read", storedFilePath(cluster, "mounts")),
      ...retirementRights(cluster, mount),
    ]),
  );
}

function orNone(rights: readonly Right[] = []): readonly Right[] {
  return rights;
}

/** Grants all roles of a mount with one rule, since the cluster file may add some. */
function neededPolicy(cluster: Cluster, rights: readonly Right[]): string {
  const folders = pkiMounts(cluster).map(({ path }) => `${path}/roles/`);
  const widened = rights.map(({ path, capabilities }) => {
    const folder = folders.find((it) => path.startsWith(it));
    return { path: folder === undefined ? path : `${folder}*`, capabilities };
  });
  return policyText(mergeRights(widened));
}
