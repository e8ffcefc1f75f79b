import type { FieldTable } from "../toml/fields.ts";
import { caKeyTypes, capabilities, policyRoles, roleKeyTypes } from "./cluster.ts";
import { pkiMountNames } from "./mount-names.ts";

const hostWords = "a master is also a worker, and a host of role all is everything";
const keyBits = "rsa: 2048, 3072, 4096; ec: 256, 384, 521";

/** A boolean that is false by default, and one that is true. */
const off = { type: "boolean", default: "false", example: "true" } as const;
const on = { type: "boolean", default: "true", example: "false" } as const;

/** The fields that `setup-mounts` uses. */
export const mountFields = {
  max_validity_ca: {
    type: "string",
    default: '"20y"',
    example: '"10y"',
    description: "validity of the CAs, and max lease TTL of their mounts",
  },
  ca_key_type: {
    type: "string",
    default: "the server's, rsa",
    example: '"ec"',
    description: "key type of new CAs; an existing CA is kept",
    choices: caKeyTypes,
  },
  ca_key_bits: { type: "number", default: "2048, 256", example: "384", description: keyBits },
} as const satisfies FieldTable;

const keyFields = {
  key_type: {
    type: "string",
    default: '"any"',
    example: '"ec"',
    description: "the key type that the roles sign",
    choices: roleKeyTypes,
  },
  key_bits: {
    type: "number",
    default: "2048, 256",
    example: "384",
    description: `the smallest key that they sign; ${keyBits}`,
  },
} as const satisfies FieldTable;

const pkiRoleFields = {
  mount: {
    type: "string",
    required: true,
    example: '"k8s"',
    description: "the mount whose CA signs",
    choices: pkiMountNames,
  },
  name: {
    type: "string",
    required: true,
    example: '"ingress"',
    description: "the role's name: its sign path is CLUSTER/pki/MOUNT/sign/NAME",
  },
  hosts: {
    type: "strings",
    default: "[]",
    example: '["worker"]',
    description: `host roles whose hosts may use it; ${hostWords}`,
    choices: policyRoles,
  },
  allowed_domains: {
    type: "strings",
    default: "[]",
    example: '["ingress.example.com"]',
    description: "domains; the next three fields say which names they allow",
  },
  allow_bare_domains: { ...off, description: "allow the domains themselves" },
  allow_subdomains: { ...off, description: "allow names below the domains" },
  allow_glob_domains: { ...off, description: "let * in a domain match any part of a name" },
  allow_any_name: { ...off, description: "allow every name" },
  allow_localhost: { ...off, description: "allow localhost" },
  allow_ip_sans: { ...off, description: "allow IP addresses" },
  allow_wildcard_certificates: { ...off, description: "allow names like *.example.com in certificates" },
  enforce_hostnames: {
    ...on,
    description: "allow only valid host names; false also allows names like system:this",
  },
  organization: {
    type: "strings",
    default: "[]",
    example: '["ingress"]',
    description:
      "organizations in each certificate's subject, which kube-apiserver reads as groups; system:masters makes its hosts admins",
  },
  client_flag: { ...on, description: "sign certificates for clients" },
  server_flag: { ...on, description: "sign certificates for servers" },
  max_validity: {
    type: "string",
    default: "max_validity_components",
    example: '"7d"',
    description: "longest validity of a certificate",
  },
  key_type: {
    ...keyFields.key_type,
    default: "the cluster's",
    description: "the key type that it signs",
  },
  key_bits: { ...keyFields.key_bits, description: `the smallest key that it signs; ${keyBits}` },
} as const satisfies FieldTable;

const policyRuleFields = {
  hosts: {
    type: "strings",
    required: true,
    example: '["worker"]',
    description: `host roles whose hosts get the capabilities; ${hostWords}`,
    choices: policyRoles,
  },
  path: {
    type: "string",
    required: true,
    example: '"secrets/registry"',
    description: "relative to the cluster's path; a * at its end matches any rest",
  },
  capabilities: {
    type: "strings",
    required: true,
    example: '["read"]',
    description: "what they may do on the path",
    choices: capabilities,
  },
} as const satisfies FieldTable;

/** The fields that `write-roles` uses. */
export const roleFields = {
  max_validity_admin: {
    type: "string",
    default: '"365d"',
    example: '"90d"',
    description: "longest validity of an admin's certificate",
  },
  max_validity_components: {
    type: "string",
    default: '"30d"',
    example: '"7d"',
    description: "longest validity of every other certificate",
  },
  ...keyFields,
  kubelet_domains: {
    type: "strings",
    default: "[]",
    example: '["*.nodes.example.com"]',
    description:
      "domains of kubelets besides those of AWS, with all names below them; a * matches any text and needs a domain after it",
  },
  kubelet_ip_sans: { ...off, description: "whether kubelets' certificates may hold IP addresses" },
  pki_roles: {
    type: "tables",
    default: "none",
    example: "[[pki_roles]]",
    description: "a PKI role besides the built-in ones; it allows no name at first",
    fields: pkiRoleFields,
  },
  policy_rules: {
    type: "tables",
    default: "none",
    example: "[[policy_rules]]",
    description: "what hosts may do besides the built-in rules",
    fields: policyRuleFields,
  },
} as const satisfies FieldTable;

/** Every field of a cluster file. */
export const clusterFields = {
  id: {
    type: "string",
    default: "the command line's",
    example: '"demo"',
    description: "the cluster's id; has to match the one in the command line, if that has one",
  },
  ...mountFields,
  ...roleFields,
} as const satisfies FieldTable;
