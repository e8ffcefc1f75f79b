import { Failure } from "../failure.ts";
import { nearest } from "../suggest.ts";
import { readSignPaths } from "../vault/acl.ts";
import type { VaultClient } from "../vault/client.ts";
import { means, VaultError } from "../vault/error.ts";
import { mountOfSignPath } from "../vault/pki.ts";

/** More than a host of a cluster without a file has. */
const mostShown = 20;

/**
 * A refusal of a sign path, with the paths that the token may use. A server answers the same for a role that is not
 * there and for one that another host may use; only a token that may use it is told which it is.
 *
 * One more request, for such a refusal alone.
 *
 * @returns any other error as it is
 */
export async function explainRefusal(
  client: VaultClient,
  signPath: string,
  error: unknown,
): Promise<unknown> {
  const isUnknown = means(error, "unknownRole");
  // By the server: a proxy's refusal tells nothing of the token.
  const isForbidden =
    error instanceof VaultError &&
    error.status === 403 &&
    error.serverErrors !== undefined &&
    !means(error, "unknownToken");
  if (!(error instanceof Failure) || !(isUnknown || isForbidden)) return error;
  const paths = await readSignPaths(client);
  const isGranted = paths?.some((it) => it === signPath || matches(it, signPath)) === true;
  // Then it is a parameter of the request that is refused.
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

/** The path of the same mount whose role is near, else that of the same role whose mount is. */
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
