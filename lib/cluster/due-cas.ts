import type { Finding } from "../finding.ts";
import type { VaultClient } from "../vault/client.ts";
import { readClocks } from "../vault/clocks.ts";
import type { Cluster } from "./cluster.ts";
import { readMountStatus } from "./issuer-status.ts";
import { mountRolesRights } from "./mount-roles.ts";
import { pkiMounts } from "./mounts.ts";
import type { Right } from "./rights.ts";
import { createServerView } from "./server-view.ts";

/** A CA that an admin has to renew, which set-up never does by itself. */
export interface DueCa extends Finding {
  readonly mount: string;
  /** The issuer that is due; undefined for a mount whose rotation was stopped half-way. */
  readonly issuer: { readonly id: string; readonly name: string } | undefined;
}

/** The rights to tell whether a cluster's CAs are due, besides those to read the CAs. */
export function dueRights(cluster: Cluster): readonly Right[] {
  return pkiMounts(cluster).flatMap(({ path }) => mountRolesRights(path));
}

/**
 * The CAs that can't serve a cluster's roles much longer, and rotations that were stopped half-way. An issuer that no
 * role signs with is never due.
 *
 * @throws VaultError
 */
export async function readDueCas(client: VaultClient, cluster: Cluster): Promise<readonly DueCa[]> {
  const view = createServerView(client);
  // Also tells the server's time.
  await view.mounts();
  const { server: now } = readClocks(client);
  const mounts = await Promise.all(pkiMounts(cluster).map((it) => readMountStatus(view, cluster, it, now)));
  return mounts.flatMap(({ path, issuers, cas: _cas, roles: _roles, ...mount }): DueCa[] => [
    ...(mount.state === "due" ? [{ ...mount, mount: path, issuer: undefined }] : []),
    ...issuers
      // Status alone reports other faults: an admin may have chosen such an issuer for a while.
      .filter(({ state, leftSeconds }) => state === "due" || (state === "wrong" && leftSeconds <= 0))
      .map((it): DueCa => {
        const { id, name, state, reasons, fix } = it;
        return { mount: path, issuer: { id, name }, state, reasons, ...(fix === undefined ? {} : { fix }) };
      }),
  ]);
}
