import type { VaultClient } from "../vault/client.ts";
import { listNames } from "../vault/data.ts";
import { each } from "../vault/each.ts";
import { readPkiRole } from "../vault/pki.ts";
import type { Fields } from "../vault/shape.ts";
import { type Right, right } from "./rights.ts";

/** A PKI role as the server has it. */
export interface MountRole {
  readonly name: string;
  readonly fields: Fields;
}

/** Whether a role names an issuer, by its id or its name, rather than leave that to the mount's default. */
export function namesIssuer(
  { fields: { issuer_ref: ref } }: MountRole,
  { id, name }: { readonly id: string; readonly name: string },
): boolean {
  return ref === id || (name !== "" && ref === name);
}

/** The rights to read all PKI roles of a mount. */
export function mountRolesRights(path: string): readonly Right[] {
  return [
    right("list", `${path}/roles`),
    // OpenBao checks this path for the list.
    right("list read", `${path}/roles/*`),
  ];
}

/**
 * All PKI roles of a mount, also those that set-up did not make.
 *
 * @param path of the mount
 * @throws VaultError
 */
export async function readMountRoles(client: VaultClient, path: string): Promise<readonly MountRole[]> {
  const names = await listNames(client, `${path}/roles`);
  const roles = await each(names, async (name) => {
    const fields = await readPkiRole(client, `${path}/roles/${name}`);
    return fields && { name, fields };
  });
  return roles.filter((role) => role !== undefined);
}
