import { Failure } from "../failure.ts";

// Control characters, halves of a pair (no URL can carry them), and what a server or a proxy on the way may read as
// another path.
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\\?#%]/u;

/**
 * A path as the URL carries it, each segment escaped.
 *
 * @throws Failure (usage) for an empty segment, `.` or `..`, control characters and `? # % \`: what would reach
 *   the server as another path than the one written never leaves
 */
export function encodePath(path: string): string {
  const segments = path.split("/");
  if (
    unsafe.test(path) ||
    segments.some((segment) => segment === "" || segment === "." || segment === "..")
  ) {
    throw new Failure("usage", `${JSON.stringify(path)} is not a path in Vault`, {
      hint: "write it as mount and name without a slash at either end, like demo/pki/k8s/sign/kubelet",
    });
  }
  return segments.map(encodeURIComponent).join("/");
}
