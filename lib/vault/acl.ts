import type { VaultClient } from "./client.ts";
import { readData } from "./data.ts";
import { VaultError } from "./error.ts";
import { isFields } from "./shape.ts";

/**
 * The sign paths that the client's token may use, sorted. One that ends in `*` stands for every path with that
 * beginning. The policy `default` lets every token ask for them.
 *
 * @returns undefined if the server does not tell, and for a root token
 * @see https://developer.hashicorp.com/vault/api-docs/system/internal-ui-resultant-acl
 */
export async function readSignPaths(client: VaultClient): Promise<readonly string[] | undefined> {
  try {
    const data = await readData(client, "sys/internal/ui/resultant-acl");
    if (data === undefined || data.fields.root === true) return undefined;
    const { exact_paths: exact, glob_paths: globs } = data.fields;
    return [...granted(exact), ...granted(globs).map((path) => `${path}*`)]
      .filter((path) => /\/sign\//.test(path))
      .sort();
  } catch (error) {
    if (error instanceof VaultError) return undefined;
    throw error;
  }
}

/** The paths of the rules that grant writing. */
function granted(rules: unknown): readonly string[] {
  if (!isFields(rules)) return [];
  return Object.entries(rules).flatMap(([path, rule]) => {
    const capabilities = isFields(rule) && Array.isArray(rule.capabilities) ? rule.capabilities : [];
    return capabilities.includes("update") && !capabilities.includes("deny") ? [path] : [];
  });
}
