import { type Manifest, parseManifest } from "../../lib/manifest/manifest.ts";
import type { HostFacts } from "../../lib/manifest/specifiers.ts";

export const host: HostFacts = { hostName: "node-7.example.com", ipv4: "10.0.0.7", ipv6: "fd00::7" };

/** The required fields of a manifest, as written in the file. */
export const needed: Readonly<Record<string, string>> = {
  sign_path: '"demo/pki/k8s/sign/kubelet"',
  common_name: '"kubelet"',
  destination: '"/etc/ssl/kubelet"',
};

/** A manifest with the required fields and the given ones, which may replace them. `undefined` leaves a field out. */
export function textOf(values: Readonly<Record<string, string | undefined>> = {}): string {
  return Object.entries({ ...needed, ...values })
    .map(([field, value]) => (value === undefined ? "" : `${field} = ${value}\n`))
    .join("");
}

/** Parses a text as `/etc/vault/certs.d/kubelet.toml`. */
export function parse(values: Readonly<Record<string, string | undefined>> = {}, facts = host): Manifest {
  return parseManifest(textOf(values), file, facts);
}

export const file = "/etc/vault/certs.d/kubelet.toml";
