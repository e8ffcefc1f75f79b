import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Names } from "../../lib/x509/names.ts";
import { temporaryFolder } from "./folder.ts";
import { openssl, opensslEcKey } from "./openssl.ts";

/** A CA for certificate sets that need no server. */
export interface TestCa {
  readonly pem: string;
  readonly key: string;
  /** Signs a certificate for a key, valid for 30 days. */
  sign(key: string, names: Partial<Names> & { readonly commonName: string }, days?: number): string;
}

/**
 * @param parent the signer; without it, self-signed
 * @param key its key, if this is another certificate of an existing CA
 */
export function createCa(subject = "/CN=test CA", parent?: TestCa, key = opensslEcKey("P-256")): TestCa {
  using folder = temporaryFolder();
  const above = ["-CA", join(folder.path, "ca.pem"), "-CAkey", join(folder.path, "ca.key")];
  if (parent !== undefined) {
    writeFileSync(join(folder.path, "ca.pem"), parent.pem);
    writeFileSync(join(folder.path, "ca.key"), parent.key, { mode: 0o600 });
  }
  const pem = openssl(
    [
      "req",
      "-x509",
      "-key",
      "/dev/stdin",
      "-days",
      "60",
      "-subj",
      subject,
      ...(parent === undefined ? [] : above),
    ],
    key,
  );
  return {
    pem,
    key,
    sign(leafKey, { commonName, organisations = [], dnsNames = [], ipAddresses = [] }, days = 30) {
      using folder = temporaryFolder();
      const file = (name: string, content: string) => {
        const path = join(folder.path, name);
        writeFileSync(path, content, { mode: 0o600 });
        return path;
      };
      const subject = `${organisations.map((name) => `/O=${name}`).join("")}/CN=${commonName}`;
      const sans = [...dnsNames.map((it) => `DNS:${it}`), ...ipAddresses.map((it) => `IP:${it}`)].join(",");
      return openssl([
        ...[
          "req",
          "-x509",
          "-utf8",
          "-key",
          file("leaf.key", leafKey),
          "-subj",
          subject,
          "-days",
          String(days),
        ],
        ...["-CA", file("ca.pem", pem), "-CAkey", file("ca.key", key)],
        ...["-addext", "basicConstraints=CA:FALSE"],
        ...(sans === "" ? [] : ["-addext", `subjectAltName=${sans}`]),
      ]);
    },
  };
}
