import { keyModes } from "../host/key-mode.ts";
import type { FieldTable } from "../toml/fields.ts";
import { keySizes, keyTypes } from "../x509/key-type.ts";

/** Every field of a manifest; those with specifiers are resolved by `resolveSpecifiers`. */
export const fields = {
  sign_path: {
    type: "string",
    required: true,
    example: '"demo/pki/k8s/sign/kubelet"',
    description: "where the role signs: CLUSTER/pki/MOUNT/sign/ROLE",
  },
  common_name: {
    type: "string",
    required: true,
    example: '"system:node:%H"',
    specifiers: true,
    description: "common name of the certificate",
  },
  destination: {
    type: "string",
    required: true,
    example: '"/etc/kubernetes/ssl/kubelet"',
    specifiers: true,
    description: "path of the files, without -key.pem, .pem and -ca.pem",
  },
  san_hosts: {
    type: "strings",
    default: "[]",
    example: '["%H", "localhost"]',
    specifiers: true,
    description: "host names that it is for, too",
  },
  ip_sans: {
    type: "strings",
    default: "[]",
    example: '["%4", "127.0.0.1"]',
    specifiers: true,
    description: "IP addresses that it is for",
  },
  organisation: {
    type: "strings",
    default: "[]",
    example: '["system:nodes"]',
    specifiers: true,
    description: "organisations in its subject, where the role leaves them open",
  },
  key_type: {
    type: "string",
    default: "the key's that is there, else ec",
    example: '"ec"',
    description: "kind of key",
    choices: keyTypes,
  },
  key_bit_size: {
    type: "number",
    default: "2048, 256",
    example: "384",
    description: keySizes,
  },
  ca_chain: {
    type: "boolean",
    default: "false",
    example: "true",
    description: "the whole chain in the CA file, not the signer alone",
  },
  owner: {
    type: "string",
    default: "as the key that is there; the running user's where only one is given",
    example: '"etcd"',
    description: "owner of the files, by name or number",
  },
  group: {
    type: "string",
    default: "as the key that is there; the running user's where only one is given",
    example: '"etcd"',
    description: "group of the files, by name or number",
  },
  key_mode: {
    type: "string",
    default: '"0600"',
    example: '"0640"',
    description: "mode of the key's file; with 0640 its group reads it, too",
    choices: keyModes,
  },
  renew: {
    type: "string",
    default: '"due"',
    example: '"always"',
    description: "issue when it is due, or at each run as the Go tool did",
    choices: ["due", "always"],
  },
  window: {
    type: "strings",
    default: "[] (at any time)",
    example: '["Sun 02:00-04:00"]',
    description:
      "when it may be replaced, in the host's time zone, while more than a tenth of its life is left",
  },
  reload: {
    type: "strings",
    default: "[]",
    example: '["etcd.service"]',
    description: "units to reload, or restart where they can't, when it has changed",
  },
  restart: {
    type: "strings",
    default: "[]",
    example: '["kubelet.service"]',
    description: "units to restart when it has changed, where they run",
  },
  on_change: {
    type: "commands",
    default: "[]",
    example: '[["/usr/local/bin/tell", "--quiet"]]',
    description: "commands to run when it has changed, each a list: no shell reads them",
  },
  hook_timeout: {
    type: "string",
    default: '"60s"',
    example: '"5m"',
    description: "for each command and unit",
  },
} as const satisfies FieldTable;

export type FieldName = keyof typeof fields;
