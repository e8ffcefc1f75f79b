import { readFileSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { type Manifest, parseManifest } from "../../lib/manifest/manifest.ts";
import { lookAtAll, renewAll } from "../../lib/renewal/renew-all.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import type { ClusterServer } from "../support/cluster-server.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Fault, startRelay } from "../support/relay.ts";

/** A host with manifests, and a relay between it and the server. */
export function manifestHost(cluster: ClusterServer, fault?: Fault) {
  const folder = temporaryFolder();
  const relay = startRelay(cluster.address, fault);
  const client = createVaultClient({ address: relay.address, token: cluster.rootToken, maxRetries: 0 });
  const notes: string[] = [];
  return {
    folder: folder.path,
    relay,
    notes,
    /** @param fields as TOML, added to destination and common name */
    manifest(name: string, signPath: string, fields = ""): Manifest {
      const destination = join(folder.path, "ssl", name);
      const text = `sign_path = "${signPath}"\ncommon_name = "${name}"\ndestination = "${destination}"\n${fields}`;
      return parseManifest(text, `/etc/vault/certs.d/${name}.toml`, {
        hostName: "node-7",
        ipv4: undefined,
        ipv6: undefined,
      });
    },
    run: (...manifests: readonly Manifest[]) =>
      renewAll(manifests, {
        seen: lookAtAll(manifests),
        client,
        signal: new AbortController().signal,
        onNote: (manifest, sentence) =>
          notes.push(manifest === undefined ? sentence : `${manifest.name}: ${sentence}`),
      }),
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** The outcome of each manifest, or the kind of its failure. */
export function outcomesOf(outcomes: Awaited<ReturnType<typeof renewAll>>): Array<string | number> {
  return outcomes.map((one) => ("failure" in one ? one.failure.kind : one.issued.outcome));
}

export function readFiles({ destination }: Manifest) {
  const [key, certificate, ca] = ["-key.pem", ".pem", "-ca.pem"].map((suffix) =>
    readFileSync(destination + suffix, "utf8"),
  );
  return { key, certificate, ca };
}

/** Sets the age of a file, through links. */
export function age(path: string, days: number): void {
  const then = new Date(Date.now() - days * 86_400_000);
  utimesSync(path, then, then);
}

/** A window that stays closed for the next hours, and when it opens. */
export function closedWindow(): { readonly window: string; readonly opens: string } {
  const opening = new Date(Date.now() + 5 * 3_600_000);
  opening.setMinutes(0, 0, 0);
  const hour = String(opening.getHours()).padStart(2, "0");
  return {
    window: `${hour}:00-${hour}:30`,
    opens: `${opening.toISOString().slice(0, 16).replace("T", " ")} UTC`,
  };
}
