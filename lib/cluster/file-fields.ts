import type { FieldTable } from "../toml/fields.ts";
import { capabilities, keyRuleTypes, keyTypes, policyRoles } from "./cluster.ts";
import { pkiMountNames } from "./mount-names.ts";

const hostWords = "a master is a worker, too, and a host of the role all is each";
const keyBits = "rsa: 2048, 3072, 4096; ec: 256, 384, 521";

/** What is so only where the file says it, and what is so unless it does. */
const off = { type: "boolean", default: "false", example: "true" } as const;
const on = { type: "boolean", default: "true", example: "false" } as const;

/** What `setup-mounts` goes by. */
export const mountFields = {
  max_validity_ca: {
    type: "string",
    default: '"20y"',
    example: '"10y"',
    description: "life of the CAs, and of their mounts' longest lease",
  },
  ca_key_type: {
    type: "string",
    default: "the server's, rsa",
    example: '"ec"',
    description: "kind of key of the CAs that are made; one that stands is kept",
    choices: keyTypes,
  },
  ca_key_bits: { type: "number", default: "2048, 256", example: "384", description: keyBits },
} as const satisfies FieldTable;

const keyFields = {
  key_type: {
    type: "string",
    default: '"any"',
    example: '"ec"',
    description: "the one kind of key that the roles sign",
    choices: keyRuleTypes,
  },
  key_bits: {
    type: "number",
    default: "2048, 256",
    example: "384",
    description: `the fewest that they sign; ${keyBits}`,
  },
} as const satisfies FieldTable;

const pkiRoleFields = {
  mount: {
    type: "string",
    required: true,
    example: '"k8s"',
    description: "whose CA signs",
    choices: pkiMountNames,
  },
  name: {
    type: "string",
    required: true,
    example: '"ingress"',
    description: "of the role: hosts ask CLUSTER/pki/MOUNT/sign/NAME",
  },
  hosts: {
    type: "strings",
    default: "[]",
    example: '["worker"]',
    description: `whose hosts may; ${hostWords}`,
    choices: policyRoles,
  },
  allowed_domains: {
    type: "strings",
    default: "[]",
    example: '["ingress.example.com"]',
    description: "names, of which the next three say what they allow",
  },
  allow_bare_domains: { ...off, description: "these names" },
  allow_subdomains: { ...off, description: "names below them" },
  allow_glob_domains: { ...off, description: "with * in them for any part of a name" },
  allow_any_name: { ...off, description: "every name" },
  allow_localhost: { ...off, description: "localhost" },
  allow_ip_sans: { ...off, description: "IP addresses" },
  allow_wildcard_certificates: { ...off, description: "certificates for names like *.example.com" },
  enforce_hostnames: {
    ...on,
    description: "only names that a host can have; false for names like system:this",
  },
  organization: {
    type: "strings",
    default: "[]",
    example: '["ingress"]',
    description:
      "in each certificate's subject: a group, to kube-apiserver; system:masters makes its hosts admins",
  },
  client_flag: { ...on, description: "for clients" },
  server_flag: { ...on, description: "for servers" },
  max_validity: {
    type: "string",
    default: "max_validity_components",
    example: '"7d"',
    description: "longest life of a certificate",
  },
  key_type: {
    ...keyFields.key_type,
    default: "the cluster's",
    description: "the one kind of key that it signs",
  },
  key_bits: { ...keyFields.key_bits, description: `the fewest that it signs; ${keyBits}` },
} as const satisfies FieldTable;

const policyRuleFields = {
  hosts: {
    type: "strings",
    required: true,
    example: '["worker"]',
    description: `whose hosts; ${hostWords}`,
    choices: policyRoles,
  },
  path: {
    type: "string",
    required: true,
    example: '"secrets/registry"',
    description: "below the cluster's; a * at its end stands for any rest",
  },
  capabilities: {
    type: "strings",
    required: true,
    example: '["read"]',
    description: "what they may do there",
    choices: capabilities,
  },
} as const satisfies FieldTable;

/** What `write-roles` goes by. */
export const roleFields = {
  max_validity_admin: {
    type: "string",
    default: '"365d"',
    example: '"90d"',
    description: "longest life of an admin's certificate",
  },
  max_validity_components: {
    type: "string",
    default: '"30d"',
    example: '"7d"',
    description: "longest life of every other certificate",
  },
  ...keyFields,
  kubelet_domains: {
    type: "strings",
    default: "[]",
    example: '["*.nodes.example.com"]',
    description:
      "host names of kubelets beside AWS's, with those below each; a * stands for any text and needs a domain behind it",
  },
  kubelet_ip_sans: { ...off, description: "whether kubelets' certificates may hold IP addresses" },
  pki_roles: {
    type: "tables",
    default: "none",
    example: "[[pki_roles]]",
    description: "a role beside those that every cluster has; it starts with no name allowed",
    fields: pkiRoleFields,
  },
  policy_rules: {
    type: "tables",
    default: "none",
    example: "[[policy_rules]]",
    description: "what hosts may do beside what they may in every cluster",
    fields: policyRuleFields,
  },
} as const satisfies FieldTable;

/** Every field of a cluster's file. */
export const clusterFields = {
  id: {
    type: "string",
    default: "the command line's",
    example: '"demo"',
    description: "the cluster's id; in a command line that has one, too, the same",
  },
  ...mountFields,
  ...roleFields,
} as const satisfies FieldTable;
