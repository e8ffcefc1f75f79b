import { Failure } from "../failure.ts";
import { nearest } from "../suggest.ts";
import { readSignPaths } from "../vault/acl.ts";
import type { VaultClient } from "../vault/client.ts";
import { means, VaultError } from "../vault/error.ts";
import { mountOfSignPath } from "../vault/pki.ts";

/** More sign paths than a host has in a cluster without a cluster file. */
const mostShown = 20;

/**
 * Adds the paths that the token may use to the refusal of a sign path. A server gives the same answer for a missing role
 * and for one that only other hosts may use. This takes one more request, and only after such a refusal.
 *
 * @returns any other error unchanged
 */
export async function explainRefusal(
  client: VaultClient,
  signPath: string,
  error: unknown,
): Promise<unknown> {
  const isUnknown = means(error, "unknownRole");
  // By the server itself: a proxy's refusal says nothing about the token.
  const isForbidden =
    error instanceof VaultError &&
    error.status === 403 &&
    error.serverErrors !== undefined &&
    !means(error, "unknownToken");
  if (!(error instanceof Failure) || !(isUnknown || isForbidden)) return error;
  const paths = await readSignPaths(client);
  const isGranted = paths?.some((it) => it === signPath || matches(it, signPath)) === true;
  // Then the server refuses a parameter of the request.
  if (paths === undefined || (isForbidden && isGranted)) return error;
  const none = `there is no role ${roleOf(signPath)} in ${mountOfSignPath(signPath)}`;
  const near = nearestPath(
    signPath,
    paths.filter((it) => it !== signPath && !it.endsWith("*")),
  );
  const shown = paths.slice(0, mostShown).join(", ");
  const more = paths.length > mostShown ? `, and ${paths.length - mostShown} more` : "";
  const may = paths.length === 0 ? "this host may use no sign path" : `this host may use ${shown}${more}`;
  const hint = [
    isUnknown ? none : `${none}, or it is not for this host`,
    near === undefined ? may : `did you mean ${near}? ${may}`,
    ...(error.hint === undefined ? [] : [`else ${error.hint}`]),
  ].join("; ");
  return new Failure(error.kind, error.message, { hint, cause: error });
}

function roleOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** A path in the same mount whose role has a similar name, else one of the same role in a similar mount. */
function nearestPath(path: string, others: readonly string[]): string | undefined {
  const [mount, role] = [mountOfSignPath(path), roleOf(path)];
  const ofMount = others.filter((it) => mountOfSignPath(it) === mount);
  const nearRole = nearest(role, ofMount.map(roleOf));
  if (nearRole !== undefined) return ofMount.find((it) => roleOf(it) === nearRole);
  return nearest(
    path,
    others.filter((it) => roleOf(it) === role),
  );
}

function matches(pattern: string, path: string): boolean {
  return pattern.endsWith("*") && path.startsWith(pattern.slice(0, -1));
}
