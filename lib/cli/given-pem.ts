import { printable } from "../host/file-error.ts";

/** PEM, and where it is from, for sentences. */
export interface Given {
  /** `VAULT_CACERT` */
  readonly variable: string;
  /** Undefined for what the variable holds itself. */
  readonly path?: string;
  /** PEM blocks as the TLS runtime reads them: it passes over those behind a byte order mark or blanks. */
  readonly pem: readonly string[];
}

/** `VAULT_CACERT (/etc/vault/ca.pem)` */
export function describe({ variable, path }: Pick<Given, "variable" | "path">): string {
  return path === undefined ? variable : `${variable} (${printable(path)})`;
}
