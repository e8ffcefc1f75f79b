import { printable } from "../host/file-error.ts";

/** PEM blocks, and where they are from, for messages. */
export interface GivenPem {
  /** The variable, such as `VAULT_CACERT`. */
  readonly variable: string;
  /** The file that the variable names; undefined if the variable holds the PEM itself. */
  readonly path?: string;
  /** Encoded again, because the TLS runtime skips blocks after a byte order mark or blanks. */
  readonly pem: readonly string[];
}

/** `VAULT_CACERT (/etc/vault/ca.pem)` */
export function describe({ variable, path }: Pick<GivenPem, "variable" | "path">): string {
  return path === undefined ? variable : `${variable} (${printable(path)})`;
}
