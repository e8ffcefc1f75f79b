import { Failure } from "../failure.ts";

// Control characters, lone surrogates (no URL can carry them), and characters that make a server or a proxy read
// another path.
const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\\?#%]/u;

/**
 * Escapes each segment of a path for a URL.
 *
 * @throws Failure (usage) for an empty segment, `.` or `..`, control characters and `? # % \`: the server might read
 *   them as another path
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
