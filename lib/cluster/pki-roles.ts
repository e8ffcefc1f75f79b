import type { Fields } from "../vault/shape.ts";
import type { Cluster, KeyRule } from "./cluster.ts";
import type { PkiMountName } from "./mount-names.ts";
import { pkiMountPath } from "./mounts.ts";

export interface WantedPkiRole {
  /** `<mount>/roles/<name>` */
  readonly path: string;
  readonly fields: Fields;
}

/**
 * What every role has in common. All fields are written, those too that a server of today has by default: a role
 * is written whole, and nobody's later default or hand may widen it.
 *
 * `key_type` any takes RSA, EC and Ed25519 keys; such a role signs CSRs and no longer makes keys (`issue`). The
 * server sets both bits to 0 with it.
 */
const everyRole: Fields = {
  key_type: "any",
  key_bits: 0,
  signature_bits: 0,
  use_pss: false,

  allow_any_name: false,
  allow_bare_domains: false,
  allow_glob_domains: false,
  allow_ip_sans: true,
  allow_localhost: true,
  allow_subdomains: false,
  allow_token_displayname: false,
  allow_wildcard_certificates: true,
  allowed_domains: [],
  allowed_domains_template: false,
  allowed_other_sans: [],
  allowed_serial_numbers: [],
  allowed_uri_sans: [],
  allowed_uri_sans_template: false,
  allowed_user_ids: [],
  cn_validations: ["email", "hostname"],
  enforce_hostnames: true,
  require_cn: true,
  use_csr_common_name: false,
  use_csr_sans: false,
  serial_number_source: "json-csr",

  country: [],
  locality: [],
  organization: [],
  ou: [],
  postal_code: [],
  province: [],
  street_address: [],

  basic_constraints_valid_for_non_ca: false,
  client_flag: true,
  code_signing_flag: false,
  email_protection_flag: false,
  ext_key_usage: [],
  ext_key_usage_oids: [],
  key_usage: ["DigitalSignature", "KeyAgreement", "KeyEncipherment"],
  policy_identifiers: [],
  server_flag: true,

  generate_lease: false,
  issuer_ref: "default",
  no_store: false,
  not_after: "",
  not_before_duration: 30,
};

/**
 * What a role beside those below starts from: no name at all.
 *
 * The fields that a cluster's file may set are named there as they are here.
 */
export const furtherRole = {
  allow_ip_sans: false,
  allow_localhost: false,
  allow_wildcard_certificates: false,
} as const satisfies Fields;

/** Clients of etcd, and its members: any name. */
const etcdClient: Fields = { allow_any_name: true, server_flag: false };
const etcdServer: Fields = { allow_any_name: true };

/** One component of the control plane: its own name, and that name as the user `system:<name>`. */
function component(name: string): Fields {
  return {
    allow_bare_domains: true,
    allow_localhost: false,
    allowed_domains: [name, `system:${name}`],
    enforce_hostnames: false,
    server_flag: false,
    use_csr_sans: true,
  };
}

const roles: ReadonlyArray<readonly [mount: PkiMountName, name: string, fields: Fields]> = [
  ["etcd-k8s", "client", etcdClient],
  ["etcd-k8s", "server", etcdServer],
  ["etcd-overlay", "client", etcdClient],
  ["etcd-overlay", "server", etcdServer],
  [
    "k8s",
    "admin",
    {
      allow_bare_domains: true,
      allow_ip_sans: false,
      allow_localhost: false,
      allowed_domains: ["admin"],
      enforce_hostnames: false,
      organization: ["system:masters"],
      server_flag: false,
      use_csr_sans: true,
    },
  ],
  ["k8s", "kube-apiserver", { allow_any_name: true, allow_bare_domains: true, enforce_hostnames: false }],
  ["k8s", "kube-controller-manager", component("kube-controller-manager")],
  ["k8s", "kube-proxy", component("kube-proxy")],
  ["k8s", "kube-scheduler", component("kube-scheduler")],
  [
    "k8s",
    "kubelet",
    {
      allow_bare_domains: true,
      allow_glob_domains: true,
      allow_ip_sans: false,
      allow_localhost: false,
      allow_subdomains: true,
      // Host names of AWS alone, as the clusters that stand have them.
      allowed_domains: ["kubelet", "system:node", "system:node:*", "*.compute.internal", "*.ec2.internal"],
      enforce_hostnames: false,
      organization: ["system:nodes"],
    },
  ],
  [
    "k8s-api-proxy",
    "kube-apiserver",
    {
      allow_bare_domains: true,
      allow_ip_sans: false,
      allow_localhost: false,
      allowed_domains: ["kube-apiserver-proxy"],
      enforce_hostnames: false,
      server_flag: false,
    },
  ],
];

/** Whether every cluster has it. */
export function isEveryClusters(mount: PkiMountName, name: string): boolean {
  return roles.some(([itsMount, itsName]) => itsMount === mount && itsName === name);
}

/** Those that every cluster has, then those of its file. */
export function pkiRoles(cluster: Cluster): readonly WantedPkiRole[] {
  return [
    ...roles.map(([mount, name, fields]) => {
      const ttl = name === "admin" ? cluster.adminValiditySeconds : cluster.componentValiditySeconds;
      const more = mount === "k8s" && name === "kubelet" ? kubeletFields(cluster, fields) : fields;
      return pkiRole(cluster, mount, name, { ...keyFields(cluster.key), ...more, ttl, max_ttl: ttl });
    }),
    ...cluster.pkiRoles.map(({ mount, name, fields, validitySeconds, key }) => {
      const ttl = validitySeconds ?? cluster.componentValiditySeconds;
      const common = { ...furtherRole, ...keyFields(key ?? cluster.key) };
      return pkiRole(cluster, mount, name, { ...common, ...fields, ttl, max_ttl: ttl });
    }),
  ];
}

function pkiRole(cluster: Cluster, mount: PkiMountName, name: string, fields: Fields): WantedPkiRole {
  return { path: pkiRolePath(cluster, { mount, name }), fields: { ...everyRole, ...fields } };
}

/** `demo/pki/k8s/roles/kubelet` */
export function pkiRolePath(
  cluster: Cluster,
  role: { readonly mount: PkiMountName; readonly name: string },
): string {
  return `${pkiMountPath(cluster, role.mount)}/roles/${role.name}`;
}

function kubeletFields({ kubeletDomains, kubeletIpSans }: Cluster, fields: Fields): Fields {
  const { allowed_domains: domains } = fields;
  return {
    ...fields,
    allow_ip_sans: kubeletIpSans,
    allowed_domains: [...(Array.isArray(domains) ? domains : []), ...kubeletDomains],
  };
}

/** A server gives an RSA role 256 bits for its hash where it is sent 0. */
function keyFields({ type, bits }: KeyRule): Fields {
  return { key_type: type, key_bits: bits, signature_bits: type === "rsa" ? 256 : 0 };
}
