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
import { isBuiltInRole } from "./pki-roles.ts";

type FileReader = Reader<typeof clusterFields>;
type RoleReader = Reader<typeof clusterFields.pki_roles.fields>;
type RuleReader = Reader<typeof clusterFields.policy_rules.fields>;

/** @throws Failure (config) that names the field and its location */
export function readFurtherRoles(read: FileReader): readonly FurtherPkiRole[] {
  const roles: FurtherPkiRole[] = [];
  for (const table of read.tables("pki_roles")) {
    const role = readFurtherRole(table);
    if (roles.some(({ mount, name }) => mount === role.mount && name === role.name)) {
      throw table.wrong("name", `is a duplicate: ${role.mount} already has a role ${role.name} further up`);
    }
    roles.push(role);
  }
  return roles;
}

function readFurtherRole(read: RoleReader): FurtherPkiRole {
  const asked = read.string("mount");
  const mount = pkiMountNames.find((it) => it === asked) ?? "k8s";
  const name = read.string("name");
  // The server refuses two dots in every request: even to read or to delete such a role.
  if (!/^\w([\w.-]*\w)?$/.test(name) || name.includes("..")) {
    throw read.wrong(
      "name",
      "has to be letters, digits, _, single . and -, with a letter, digit or _ at both ends",
    );
  }
  if (isBuiltInRole(mount, name)) {
    throw read.wrong("name", `can't be ${name}: that role is built into ${mount}`);
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

const booleanFields = [
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
    throw read.wrong("organization", "can't have control characters, or blanks at its ends");
  }
  const booleans = booleanFields.flatMap((name) => {
    const value = read.boolean(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...Object.fromEntries(booleans),
    allowed_domains: read.strings("allowed_domains"),
    organization: groups,
  };
}

/** Refuses a role that could never sign anything: its author meant something else. */
function checkAllowedDomains(read: RoleReader): void {
  const domains = read.strings("allowed_domains");
  const odd = domains.find((domain) => !/^[\w*.:-]{1,253}$/.test(domain) || !/[A-Za-z0-9]/.test(domain));
  if (odd !== undefined) {
    const hint = "write it like ingress.example.com, or set allow_any_name";
    throw read.wrong("allowed_domains", `has ${JSON.stringify(odd)}, which is not a name: ${hint}`);
  }
  if (domains.some((it) => it.includes("*")) && read.boolean("allow_glob_domains") !== true) {
    throw read.wrong("allowed_domains", "has a *, which needs allow_glob_domains");
  }
  const ways = ["allow_bare_domains", "allow_subdomains", "allow_glob_domains"] as const;
  const isAllowing = domains.length > 0 && ways.some((way) => read.boolean(way) === true);
  if (domains.length > 0 && !isAllowing) {
    throw read.wrong("allowed_domains", `needs one of ${ways.join(", ")} to allow any name`);
  }
  if (isAllowing || read.boolean("allow_any_name") === true || read.boolean("allow_localhost") === true)
    return;
  throw read.wrong("name", "belongs to a role that allows no name: set allowed_domains or allow_any_name");
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

/** Whole segments, then perhaps a slash (for lists) or a star. Nothing else that has a meaning in a policy. */
const rulePath = /^(?:(?!\.{1,2}(?:\/|$))[\w.-]+)(?:\/(?!\.{1,2}(?:\/|$))[\w.-]+)*(?:\/|\/?\*)?$/;
const masterSecrets = ["secrets/service-accounts", "secrets/encryption-config"];
const signPath = /^pki\/[\w.-]+\/(?:sign|issue)\/[\w.-]+$/;

function readPath(read: RuleReader, can: readonly Capability[]): string {
  const path = read.string("path");
  if (!rulePath.test(path) || path.includes("..")) {
    throw read.wrong("path", "has to be a path below the cluster's, like secrets/registry or secrets/app/*");
  }
  // An init token gives a host the rights of another host role. The cluster file tells what set-up will do next.
  if (["secrets/init_token_", "secrets/cluster-file-"].some((own) => covers(path, own))) {
    throw read.wrong("path", "covers the cluster's init tokens, or its stored file: no host may read them");
  }
  // With these a host can act as any service account and decrypt etcd's contents. No pattern may grant that by
  // accident.
  const keys = masterSecrets.find((own) => path.endsWith("*") && own.startsWith(path.slice(0, -1)));
  if (keys !== undefined) {
    throw read.wrong(
      "path",
      `covers ${keys}, which is for masters only: write that path in full if you mean it`,
    );
  }
  // A host that can write elsewhere in pki can make its own roles and CAs.
  const writes = can.some((it) => it !== "read" && it !== "list");
  if (writes && covers(path, "pki/") && !signPath.test(path)) {
    throw read.wrong("path", "can grant writing in pki only on pki/MOUNT/sign/ROLE: set-up owns the rest");
  }
  return path;
}

/** Whether a rule's path matches any path with this beginning. */
function covers(path: string, beginning: string): boolean {
  const fixed = path.replace(/\*$/, "");
  return fixed.startsWith(beginning) || (fixed !== path && beginning.startsWith(fixed));
}
