import { setSystemTime } from "bun:test";
import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Cluster, defineCluster } from "../../lib/cluster/cluster.ts";
import { type MountCas, readMountCas } from "../../lib/cluster/mount-cas.ts";
import { pkiMountPath, pkiMounts, type WantedMount } from "../../lib/cluster/mounts.ts";
import { planRetirement } from "../../lib/cluster/retire-ca.ts";
import { planRotation, type RotationWish } from "../../lib/cluster/rotate-ca.ts";
import { randomHex } from "../../lib/host/durable.ts";
import { parseManifest } from "../../lib/manifest/manifest.ts";
import { lookAtAll, renewAll } from "../../lib/renewal/renew-all.ts";
import type { CaCheck } from "../../lib/renewal/when-due.ts";
import { createVaultClient, type VaultClient } from "../../lib/vault/client.ts";
import type { Api } from "../cluster/api.ts";
import { makeMounts } from "../cluster/run.ts";

const day = 86_400;

/** A host: its files in a folder. */
export interface Host {
  readonly name: string;
  readonly destination: string;
  /** Its role signs by one issuer until an admin changes that, whatever the default is. */
  readonly isPinned: boolean;
  readonly caChain: boolean;
}

/** The parts of a peer that others see. */
export interface Files {
  readonly shown: string;
  readonly trusted: string;
}

/** The files of a host; undefined before its first run. */
export function filesOf({ destination }: Host): Files | undefined {
  if (!existsSync(`${destination}.pem`)) return undefined;
  const read = (suffix: string) => readFileSync(destination + suffix, "utf8");
  return { shown: read(".pem"), trusted: read("-ca.pem") };
}

/**
 * Five hosts share one subject, as components do. Every fourth one has a role that may name its issuer. Some ask for the
 * whole chain.
 */
export function makeHosts(folder: string, count: number): readonly Host[] {
  return Array.from({ length: count }, (_, index) => ({
    name: index < 5 ? "shared" : `node-${index}`,
    destination: join(folder, `host-${index}`, "it"),
    isPinned: index % 4 === 3,
    caChain: index % 5 === 2,
  }));
}

export interface RotatedCluster {
  /** Reads the mount's CAs. */
  cas(): Promise<MountCas>;
  /** A run of `issue-cert` on a host. */
  run(host: Host, renew: "due" | "always", caCheck: CaCheck): Promise<void>;
  /**
   * A run of `rotate-ca`.
   *
   * @param stopsBefore the number of the step before which the run is killed
   */
  rotate(wish: RotationWish, stopsBefore?: number): Promise<void>;
  /**
   * A run of `rotate-ca --retire`.
   *
   * @param daysLater by both clocks
   * @returns the names of the older CAs that may be removed, as the plan says
   */
  retire(options: Retirement): Promise<readonly string[]>;
  /** Has every certificate revoked that no host uses any more. */
  revokeUnused(used: readonly X509Certificate[]): Promise<void>;
  /** Has the hosts' pinned role sign by the CA that signs now; or by the default, whatever that will be. */
  pin(isPinned: boolean): Promise<void>;
  /** The issuer that the pinned role names; undefined if it names none. */
  readonly pinned: string | undefined;
}

interface Retirement {
  readonly force: boolean;
  readonly deleteKey: boolean;
  readonly daysLater: number;
}

/** A cluster of its own on a server, with one CA. */
export async function makeRotatedCluster(api: Api, inTime: VaultClient): Promise<RotatedCluster> {
  const id = `c${randomHex(6)}`;
  const mount = pkiMountPath(defineCluster(id), "k8s");
  await makeMounts(api, defineCluster(id));
  let validityDays = 300;
  await api.write(`${mount}/root/generate/internal`, {
    common_name: "the CA",
    key_type: "ec",
    ttl: `${validityDays * day}s`,
  });
  const role = {
    allow_any_name: true,
    enforce_hostnames: false,
    key_type: "any",
    ttl: "720h",
    max_ttl: "720h",
  };
  for (const name of ["it", "pinned"]) await api.write(`${mount}/roles/${name}`, role);
  const client = createVaultClient({ address: api.address, token: api.token, maxRetries: 0 });
  const revoked = new Set<string>();
  let pinned: string | undefined;
  /** Each rotation gives a CA that lasts longer than those before. */
  const longer = (): readonly [Cluster, WantedMount] => {
    validityDays += 30;
    const cluster = defineCluster(id, { caValiditySeconds: validityDays * day });
    const wanted = pkiMounts(cluster).find(({ path }) => path === mount);
    if (wanted === undefined) throw new Error(`${mount} is none of its mounts`);
    return [cluster, wanted];
  };
  const cas = () => readMountCas(client, mount);
  return {
    cas,
    get pinned() {
      return pinned;
    },
    async run({ name, destination, isPinned, caChain }, renew, caCheck) {
      const text =
        `sign_path = "${mount}/sign/${isPinned ? "pinned" : "it"}"\ncommon_name = "${name}"\n` +
        `destination = "${destination}"\nrenew = "${renew}"\nca_chain = ${caChain}\n`;
      const facts = { hostName: name, ipv4: undefined, ipv6: undefined };
      const manifests = [parseManifest(text, "/etc/vault/certs.d/it.toml", facts)];
      const [outcome] = await renewAll(manifests, {
        seen: lookAtAll(manifests),
        client,
        caCheck,
        signal: new AbortController().signal,
        onNote: () => {},
      });
      if (outcome !== undefined && "failure" in outcome) throw outcome.failure;
    },
    async rotate(wish, stopsBefore) {
      const plan = await planRotation(client, ...longer(), wish);
      let number = 0;
      const killed = new Error("killed");
      try {
        await plan.apply(
          () => {
            if (++number === stopsBefore) throw killed;
          },
          () => {},
        );
      } catch (error) {
        if (error !== killed) throw error;
      }
    },
    async retire({ force, deleteKey, daysLater }) {
      try {
        if (daysLater > 0) setSystemTime(Date.now() + daysLater * day * 1000);
        const plan = await planRetirement(inTime, ...longer(), { retire: true, force, deleteKey }, () => {});
        await plan.apply(
          () => {},
          () => {},
        );
        return plan.older.filter(({ holds }) => holds.length === 0).map(({ ca }) => ca.name);
      } finally {
        setSystemTime();
      }
    },
    async revokeUnused(used) {
      const inUse = new Set(used.map(serialOf));
      for (const serial of await api.list(`${mount}/certs`)) {
        const number = serial.replaceAll(":", "");
        if (inUse.has(number) || revoked.has(number)) continue;
        revoked.add(number);
        const { certificate } = await api.find(`${mount}/cert/${serial}`);
        if (new X509Certificate(String(certificate)).ca) continue;
        await api.write(`${mount}/revoke`, { serial_number: serial });
      }
    },
    async pin(isPinned) {
      pinned = isPinned ? (await cas()).default?.id : undefined;
      await api.write(`${mount}/roles/pinned`, { ...role, issuer_ref: pinned ?? "default" });
    },
  };
}

function serialOf({ serialNumber }: X509Certificate): string {
  return serialNumber.toLowerCase();
}
