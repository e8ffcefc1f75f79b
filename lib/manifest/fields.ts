import { keyModes } from "../host/key-mode.ts";
import type { FieldTable } from "../toml/fields.ts";
import { keySizes, keyTypes } from "../x509/key-type.ts";

/** Every field of a manifest. `resolveSpecifiers` resolves those with specifiers. */
export const fields = {
  sign_path: {
    type: "string",
    required: true,
    example: '"demo/pki/k8s/sign/kubelet"',
    description: "sign path of the role: CLUSTER/pki/MOUNT/sign/ROLE",
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
    description: "further host names (DNS SANs)",
  },
  ip_sans: {
    type: "strings",
    default: "[]",
    example: '["%4", "127.0.0.1"]',
    specifiers: true,
    description: "IP addresses (IP SANs)",
  },
  organisation: {
    type: "strings",
    default: "[]",
    example: '["system:nodes"]',
    specifiers: true,
    description: "organisations in the subject, if the role doesn't set them",
  },
  key_type: {
    type: "string",
    default: "type of the existing key, otherwise ec",
    example: '"ec"',
    description: "type of the key",
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
    description: "also put the CAs above the mount's own into the CA file",
  },
  owner: {
    type: "string",
    default: "as the existing key; the running user's if only one is given",
    example: '"etcd"',
    description: "owner of the files, by name or number",
  },
  group: {
    type: "string",
    default: "as the existing key; the running user's if only one is given",
    example: '"etcd"',
    description: "group of the files, by name or number",
  },
  key_mode: {
    type: "string",
    default: '"0600"',
    example: '"0640"',
    description: "mode of the key file; 0640 and 0440 let its group read it",
    choices: keyModes,
  },
  renew: {
    type: "string",
    default: '"due"',
    example: '"always"',
    description: "issue when due, or at every run as the Go tool did",
    choices: ["due", "always"],
  },
  window: {
    type: "strings",
    default: "[] (at any time)",
    example: '["Sun 02:00-04:00"]',
    description:
      "when it may be replaced, in the host's time zone; ignored when less than a tenth of the lifetime is left",
  },
  reload: {
    type: "strings",
    default: "[]",
    example: '["haproxy.service"]',
    description: "units to reload after a change; a unit that can't reload is restarted",
  },
  restart: {
    type: "strings",
    default: "[]",
    example: '["kubelet.service"]',
    description: "units to restart after a change, if they are running",
  },
  reload_on_ca: {
    type: "strings",
    default: "[]",
    example: '["haproxy.service"]',
    description: "units to reload after a change of the CA file, and after no other change",
  },
  restart_on_ca: {
    type: "strings",
    default: "[]",
    example: '["etcd.service"]',
    description: "units to restart after a change of the CA file, and after no other change",
  },
  on_change: {
    type: "commands",
    default: "[]",
    example: '[["/usr/local/bin/tell", "--quiet"]]',
    description: "commands to run after a change, each a list of words; no shell is involved",
  },
  hook_timeout: {
    type: "string",
    default: '"60s"',
    example: '"5m"',
    description: "time limit for each command and unit",
  },
} as const satisfies FieldTable;

export type FieldName = keyof typeof fields;
