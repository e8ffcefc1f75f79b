import type { VaultClient } from "./client.ts";
import { isNothingThere } from "./error.ts";
import type { Answer, Fields } from "./shape.ts";

// The four operations that every part of the API has on a path.

/** The names below a path; none if nothing is there. Such a list may be longer than any other answer. */
export async function listNames(
  client: VaultClient,
  path: string,
  capability = "list",
): Promise<readonly string[]> {
  try {
    const answer = await client.ask({
      method: "GET",
      path,
      list: true,
      capability,
      repeatable: true,
      maxMebibytes: 64,
    });
    return answer.object("data").strings("keys");
  } catch (error) {
    if (isNothingThere(error)) return [];
    throw error;
  }
}

/** The `data` of a read; undefined if nothing is at the path. */
export async function readData(client: VaultClient, path: string): Promise<Answer | undefined> {
  try {
    const answer = await client.ask({ method: "GET", path, capability: "read", repeatable: true });
    return answer.object("data");
  } catch (error) {
    if (isNothingThere(error)) return undefined;
    throw error;
  }
}

/**
 * Writes to a path. Writing the same twice changes nothing more.
 *
 * @param capability that a policy must grant on the path
 */
export async function writeData(
  client: VaultClient,
  path: string,
  body: Fields,
  capability = "create update",
): Promise<void> {
  await client.request({ method: "POST", path, body, capability, repeatable: true });
}

/** Deletes what is at a path. It is no error if nothing is there. */
export async function deleteData(client: VaultClient, path: string): Promise<void> {
  await client.request({ method: "DELETE", path, capability: "delete", repeatable: true });
}
