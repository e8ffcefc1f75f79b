import { expect } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Issued, renew } from "../../lib/renewal/issue.ts";
import type { Renewal, RenewalRun } from "../../lib/renewal/renewal.ts";
import { type CaCheck, callPolicy } from "../../lib/renewal/when-due.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { isFor, readCertificates } from "../../lib/x509/certificate.ts";
import { readKey } from "../../lib/x509/key.ts";
import type { ClusterServer } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { openssl } from "../support/openssl.ts";
import { type Fault, startRelay } from "../support/relay.ts";

export const day = 86_400_000;
export const names = {
  commonName: "etcd-1",
  organisations: [],
  dnsNames: ["a.example.com"],
  ipAddresses: ["10.0.0.1"],
};
const suffixes = { key: "-key.pem", certificate: ".pem", ca: "-ca.pem" } as const;

/** What a test asks for, beside the usual. */
export interface Wish extends Partial<Omit<Renewal, "policy">>, Partial<RenewalRun> {
  readonly ifDue?: boolean;
  readonly force?: boolean;
  readonly caCheck?: CaCheck;
}

/** A destination in a folder of its own, and a relay between it and the server. */
export function placeOn(cluster: ClusterServer, fault?: Fault) {
  const folder = temporaryFolder();
  const relay = startRelay(cluster.address, fault);
  const client = createVaultClient({ address: relay.address, token: cluster.rootToken, maxRetries: 0 });
  const destination = join(folder.path, "ssl", "etcd");
  const path = (file: keyof typeof suffixes) => destination + suffixes[file];
  return {
    folder: folder.path,
    relay,
    client,
    destination,
    path,
    read: (file: keyof typeof suffixes) => readFileSync(path(file), "utf8"),
    /** Puts plain files there, as the Go tool left them. */
    put(files: Partial<Record<keyof typeof suffixes, string>>) {
      mkdirSync(dirname(destination), { recursive: true });
      for (const file of ["key", "certificate", "ca"] as const) {
        const content = files[file];
        if (content !== undefined)
          writeFileSync(path(file), content, { mode: file === "key" ? 0o600 : 0o644 });
      }
    },
    issue: ({ ifDue = false, force = false, caCheck = "never", ...more }: Wish = {}): Promise<Issued> =>
      renew(
        {
          signPath: "demo/pki/etcd-k8s/sign/server",
          names,
          destination,
          caChain: false,
          policy: ifDue && !force ? callPolicy(caCheck) : { renew: "now", newKey: force },
          ...more,
        },
        { client, signal: AbortSignal.timeout(20_000), ...more },
      ),
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

export type Place = ReturnType<typeof placeOn>;

/** The three belong together, and openssl takes the certificate for one of that CA. */
export async function expectMatching(it: Place): Promise<void> {
  const key = await readKey(it.read("key"), "it");
  const [leaf] = readCertificates(it.read("certificate"), "it");
  expect(isFor(leaf, key.key)).toBe(true);
  expect(
    openssl([
      "verify",
      "-CAfile",
      it.path("ca"),
      "-untrusted",
      it.path("certificate"),
      it.path("certificate"),
    ]),
  ).toContain(": OK");
}
