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
 * The fields that all roles share. Every field is written, even one that has the server's default: then neither a new
 * default nor a manual change can widen a role unnoticed.
 *
 * With `key_type` any, a role signs RSA, EC and Ed25519 keys, but makes no keys itself (`issue`). The server then sets
 * both sizes to 0.
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
 * The fields that a role of the cluster file starts with. It allows no name.
 *
 * The cluster file uses the same field names.
 */
export const furtherRole = {
  allow_ip_sans: false,
  allow_localhost: false,
  allow_wildcard_certificates: false,
} as const satisfies Fields;

/** Clients and members of etcd may have any name. */
const etcdClient: Fields = { allow_any_name: true, server_flag: false };
const etcdServer: Fields = { allow_any_name: true };

/** A component of the control plane. It may have its own name and `system:<name>`, its user name. */
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
      // Host names of AWS, as in clusters that the Go tool set up.
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

/** Whether every cluster has this role. */
export function isBuiltInRole(mount: PkiMountName, name: string): boolean {
  return roles.some(([itsMount, itsName]) => itsMount === mount && itsName === name);
}

/** The built-in roles, then those of the cluster file. */
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

/** For an RSA role the server turns 0 signature bits into 256. */
function keyFields({ type, bits }: KeyRule): Fields {
  return { key_type: type, key_bits: bits, signature_bits: type === "rsa" ? 256 : 0 };
}
