import { durationText, formatDuration } from "../duration.ts";
import { Failure } from "../failure.ts";
import type { FieldTable } from "../toml/fields.ts";
import { createReader, type Source, toStrings } from "../toml/reader.ts";
import type { Fields } from "../vault/shape.ts";
import { type Choices, type Cluster, checkClusterId, defineCluster } from "./cluster.ts";
import { clusterFields, mountFields, roleFields } from "./file-fields.ts";
import { checkNames } from "./file-names.ts";
import { readFurtherRoles, readPolicyRules } from "./file-tables.ts";
import { readKeyRule, readValidity } from "./file-values.ts";

/** The two halves of a set-up; each keeps its part of the file. */
export type Half = "mounts" | "roles";

/** What an admin says of a cluster in a file. */
export interface ClusterFile {
  /** For sentences: its path, or of the secret that it is kept in. */
  readonly name: string;
  readonly id: string | undefined;
  readonly choices: Choices;
  /** What it says to each half, in its own fields. */
  readonly parts: Readonly<Record<Half, Fields>>;
}

/**
 * Reads a cluster's file that a set-up goes by.
 *
 * @param name what people know it by
 * @throws Failure (config) that names the field and its location
 */
export function readClusterFile(source: Source, name: string): ClusterFile {
  const file = readFormerFile(source, name);
  checkNames(createReader(clusterFields, source));
  return file;
}

/**
 * Reads a cluster's file that a set-up went by, for what has to go again: earlier versions took in more names.
 *
 * @param name what people know it by
 * @throws Failure (config) that names the field and its location
 */
export function readFormerFile(source: Source, name: string): ClusterFile {
  const read = createReader(clusterFields, source);
  const id = read.optionalString("id");
  if (id !== undefined) read.checked("id", () => checkClusterId(id));
  const choices = {
    caValiditySeconds: readValidity(read, "max_validity_ca"),
    adminValiditySeconds: readValidity(read, "max_validity_admin"),
    componentValiditySeconds: readValidity(read, "max_validity_components"),
    caKey: readKeyRule(read, "ca_key_type", "ca_key_bits"),
    key: readKeyRule(read, "key_type", "key_bits"),
    kubeletDomains: read.strings("kubelet_domains"),
    kubeletIpSans: read.boolean("kubelet_ip_sans"),
    pkiRoles: readFurtherRoles(read),
    policyRules: readPolicyRules(read),
  };
  return {
    name,
    id,
    choices: Object.fromEntries(Object.entries(choices).filter(([, value]) => value !== undefined)),
    parts: { mounts: part(mountFields, source.values), roles: part(roleFields, source.values) },
  };
}

/** Of the fields in a table those that are given, each list as a list. */
function part(table: FieldTable, values: Fields): Fields {
  return Object.fromEntries(
    Object.entries(table).flatMap(([name, { type, fields }]) => {
      const value = values[name];
      if (value === undefined) return [];
      if (type === "strings") return [[name, toStrings(value)]];
      if (fields === undefined || !Array.isArray(value)) return [[name, value]];
      return [[name, value.map((item) => part(fields, { ...Object(item) }))]];
    }),
  );
}

/** What a flag, too, may say. */
const both = [
  ["caValiditySeconds", "--max-validity-ca", "max_validity_ca", "mounts"],
  ["adminValiditySeconds", "--max-validity-admin", "max_validity_admin", "roles"],
  ["componentValiditySeconds", "--max-validity-components", "max_validity_components", "roles"],
] as const;

/** The flags with which a half has to be run for what was chosen by flags. */
export function flagsOf({ chosen }: Cluster, half: Half): readonly string[] {
  return both.flatMap(([key, flag, , its]) => {
    const seconds = chosen[key];
    return its === half && seconds !== undefined ? [`${flag} ${durationText(seconds)}`] : [];
  });
}

/**
 * A cluster as its file says, and its flags beside it.
 *
 * @throws Failure (usage) where a flag says other than the file, or it is another cluster's
 */
export function withFile(cluster: Cluster, { id, choices, name }: ClusterFile): Cluster {
  const { chosen } = cluster;
  if (id !== undefined && id !== cluster.id) {
    throw new Failure("usage", `${name} is of cluster ${id}, not of ${cluster.id}`, {
      hint: "nothing was changed; leave the id out of one of them, or make them the same",
    });
  }
  for (const [key, flag, field] of both) {
    const [flags, files] = [chosen[key], choices[key]];
    if (flags === undefined || files === undefined || flags === files) continue;
    throw new Failure(
      "usage",
      `${flag} (${formatDuration(flags)}) differs from ${field} in ${name} (${formatDuration(files)})`,
      { hint: "nothing was changed; leave the flag out, or write what it says to the file" },
    );
  }
  return { ...defineCluster(cluster.id, { ...choices, ...chosen }), chosen };
}
