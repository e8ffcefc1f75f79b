import type { Reader } from "../toml/reader.ts";
import type { Fields } from "../vault/shape.ts";
import {
  type Capability,
  capabilities,
  type FurtherPkiRole,
  type PolicyRule,
  policyRoles,
} from "./cluster.ts";
import type { clusterFields } from "./file-fields.ts";
import { readKeyRule, readValidity } from "./file-values.ts";
import { pkiMountNames } from "./mount-names.ts";
import { isEveryClusters } from "./pki-roles.ts";

type FileReader = Reader<typeof clusterFields>;
type RoleReader = Reader<typeof clusterFields.pki_roles.fields>;
type RuleReader = Reader<typeof clusterFields.policy_rules.fields>;

/** @throws Failure (config) that names the field and its location */
export function readFurtherRoles(read: FileReader): readonly FurtherPkiRole[] {
  const roles: FurtherPkiRole[] = [];
  for (const table of read.tables("pki_roles")) {
    const role = readFurtherRole(table);
    if (roles.some(({ mount, name }) => mount === role.mount && name === role.name)) {
      throw table.wrong("name", `is there twice: ${role.mount} has a role ${role.name} further up`);
    }
    roles.push(role);
  }
  return roles;
}

function readFurtherRole(read: RoleReader): FurtherPkiRole {
  const asked = read.string("mount");
  const mount = pkiMountNames.find((it) => it === asked) ?? "k8s";
  const name = read.string("name");
  // The server refuses two dots in each of its calls: even a look at such a role, and its deletion.
  if (!/^\w([\w.-]*\w)?$/.test(name) || name.includes("..")) {
    throw read.wrong(
      "name",
      "has to be letters, digits, _, single . and -, with a letter, digit or _ at both ends",
    );
  }
  if (isEveryClusters(mount, name)) {
    throw read.wrong("name", `can't be ${name}: every cluster has that role in ${mount}`);
  }
  return {
    mount,
    name,
    hosts: readHosts(read),
    fields: readRoleFields(read),
    validitySeconds: readValidity(read, "max_validity"),
    key: readKeyRule(read, "key_type", "key_bits"),
  };
}

const roleTruths = [
  "allow_bare_domains",
  "allow_subdomains",
  "allow_glob_domains",
  "allow_any_name",
  "allow_localhost",
  "allow_ip_sans",
  "allow_wildcard_certificates",
  "enforce_hostnames",
  "client_flag",
  "server_flag",
] as const;

function readRoleFields(read: RoleReader): Fields {
  checkAllowedDomains(read);
  const groups = read.strings("organization");
  if (groups.some((it) => /\p{C}/u.test(it) || it.trim() !== it)) {
    throw read.wrong("organization", "has to be without blanks at its ends and control characters");
  }
  const truths = roleTruths.flatMap((name) => {
    const value = read.boolean(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(truths),
    allowed_domains: read.strings("allowed_domains"),
    organization: groups,
  };
}

/** A role that could never sign anything is one that its author did not mean. */
function checkAllowedDomains(read: RoleReader): void {
  const domains = read.strings("allowed_domains");
  const odd = domains.find((domain) => !/^[\w*.:-]{1,253}$/.test(domain) || !/[A-Za-z0-9]/.test(domain));
  if (odd !== undefined) {
    const hint = "write it like ingress.example.com, or have allow_any_name";
    throw read.wrong("allowed_domains", `names ${JSON.stringify(odd)}, which is no name: ${hint}`);
  }
  if (domains.some((it) => it.includes("*")) && read.boolean("allow_glob_domains") !== true) {
    throw read.wrong("allowed_domains", "has a *, which needs allow_glob_domains");
  }
  const ways = ["allow_bare_domains", "allow_subdomains", "allow_glob_domains"] as const;
  const isAllowing = domains.length > 0 && ways.some((way) => read.boolean(way) === true);
  if (domains.length > 0 && !isAllowing) {
    throw read.wrong("allowed_domains", `allows no name without one of ${ways.join(", ")}`);
  }
  if (isAllowing || read.boolean("allow_any_name") === true || read.boolean("allow_localhost") === true)
    return;
  throw read.wrong("name", "is of a role that allows no name: it needs allowed_domains or allow_any_name");
}

/** @throws Failure (config) that names the field and its location */
export function readPolicyRules(read: FileReader): readonly PolicyRule[] {
  return read.tables("policy_rules").map((table) => {
    const asked = [...readNeeded(table, "capabilities")];
    const can = capabilities.filter((it) => asked.includes(it));
    readNeeded(table, "hosts");
    return { hosts: readHosts(table), path: readPath(table, can), capabilities: can };
  });
}

function readHosts(read: RoleReader | RuleReader): FurtherPkiRole["hosts"] {
  const hosts = read.strings("hosts");
  return policyRoles.filter((it) => hosts.includes(it));
}

function readNeeded(read: RuleReader, field: "hosts" | "capabilities"): readonly string[] {
  const all = read.strings(field);
  if (all.length === 0) throw read.wrong(field, "is missing");
  return all;
}

/** Whole segments, then perhaps a slash (for lists) or a star: nothing that the server's policies read otherwise. */
const rulePath = /^(?:(?!\.{1,2}(?:\/|$))[\w.-]+)(?:\/(?!\.{1,2}(?:\/|$))[\w.-]+)*(?:\/|\/?\*)?$/;
const mastersSecrets = ["secrets/service-accounts", "secrets/encryption-config"];
const signPath = /^pki\/[\w.-]+\/(?:sign|issue)\/[\w.-]+$/;

function readPath(read: RuleReader, can: readonly Capability[]): string {
  const path = read.string("path");
  if (!rulePath.test(path) || path.includes("..")) {
    throw read.wrong("path", "has to be a path below the cluster's, like secrets/registry or secrets/app/*");
  }
  // Whoever reads these gets every right of the other host roles, or learns what set-up will do next.
  if (["secrets/init_token_", "secrets/cluster-file-"].some((own) => meets(path, own))) {
    throw read.wrong(
      "path",
      "takes in the cluster's init tokens, or set-up's own notes, which no host may have",
    );
  }
  // Whoever reads these can speak for every service account, and read what etcd holds: never by the way.
  const keys = mastersSecrets.find((own) => path.endsWith("*") && own.startsWith(path.slice(0, -1)));
  if (keys !== undefined) {
    throw read.wrong(
      "path",
      `takes in ${keys}, which is for masters alone: name the path whole if it is meant`,
    );
  }
  // Or writes roles and CAs for itself.
  const writes = can.some((it) => it !== "read" && it !== "list");
  if (writes && meets(path, "pki/") && !signPath.test(path)) {
    throw read.wrong("path", "may be written only as pki/MOUNT/sign/ROLE: the rest of pki is set-up's own");
  }
  return path;
}

/** Whether a rule's path takes in anything that begins so. */
function meets(path: string, beginning: string): boolean {
  const fixed = path.replace(/\*$/, "");
  return fixed.startsWith(beginning) || (fixed !== path && beginning.startsWith(fixed));
}
