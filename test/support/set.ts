import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Names } from "../../lib/x509/csr.ts";
import { temporaryFolder } from "./folder.ts";
import { openssl, opensslEcKey } from "./openssl.ts";

/** A CA of our own, for sets that no server has to have made. */
export interface TestCa {
  readonly pem: string;
  /** A certificate for a key, 30 days long. */
  sign(key: string, names: Partial<Names> & { readonly commonName: string }): string;
}

export function createCa(subject = "/CN=test CA"): TestCa {
  const key = opensslEcKey("P-256");
  const pem = openssl(["req", "-x509", "-key", "/dev/stdin", "-days", "60", "-subj", subject], key);
  return {
    pem,
    sign(leafKey, { commonName, organisations = [], dnsNames = [], ipAddresses = [] }) {
      using folder = temporaryFolder();
      const file = (name: string, content: string) => {
        const path = join(folder.path, name);
        writeFileSync(path, content, { mode: 0o600 });
        return path;
      };
      const subject = `${organisations.map((name) => `/O=${name}`).join("")}/CN=${commonName}`;
      const sans = [...dnsNames.map((it) => `DNS:${it}`), ...ipAddresses.map((it) => `IP:${it}`)].join(",");
      return openssl([
        ...["req", "-x509", "-utf8", "-key", file("leaf.key", leafKey), "-subj", subject, "-days", "30"],
        ...["-CA", file("ca.pem", pem), "-CAkey", file("ca.key", key)],
        ...["-addext", "basicConstraints=CA:FALSE"],
        ...(sans === "" ? [] : ["-addext", `subjectAltName=${sans}`]),
      ]);
    },
  };
}
