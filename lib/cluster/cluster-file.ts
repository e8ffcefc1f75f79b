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

/** The two halves of set-up. Each stores its part of the cluster file in the server. */
export type Half = "mounts" | "roles";

/** An admin's file about a cluster. */
export interface ClusterFile {
  /** For messages: the path of the file, or of the secret that holds it. */
  readonly name: string;
  readonly id: string | undefined;
  readonly choices: Choices;
  /** The part for each half, with the file's field names. */
  readonly parts: Readonly<Record<Half, Fields>>;
}

/**
 * Reads a cluster file for a set-up.
 *
 * @param name for messages
 * @throws Failure (config) that names the field and its location
 */
export function readClusterFile(source: Source, name: string): ClusterFile {
  const file = readEarlierFile(source, name);
  checkNames(createReader(clusterFields, source));
  return file;
}

/**
 * Reads the cluster file of an earlier set-up, to find what has to be removed. Earlier versions allowed more names.
 *
 * @param name for messages
 * @throws Failure (config) that names the field and its location
 */
export function readEarlierFile(source: Source, name: string): ClusterFile {
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

/** The values of a table's fields. A single value of a list field becomes a list. */
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

/** Fields of the file that can also be given as a flag. */
const flagFields = [
  ["caValiditySeconds", "--max-validity-ca", "max_validity_ca", "mounts"],
  ["adminValiditySeconds", "--max-validity-admin", "max_validity_admin", "roles"],
  ["componentValiditySeconds", "--max-validity-components", "max_validity_components", "roles"],
] as const;

/** The flags of a half that repeat the choices which were made by flags. */
export function flagsOf({ chosen }: Cluster, half: Half): readonly string[] {
  return flagFields.flatMap(([key, flag, , its]) => {
    const seconds = chosen[key];
    return its === half && seconds !== undefined ? [`${flag} ${durationText(seconds)}`] : [];
  });
}

/**
 * A cluster with the choices of its file and of its flags.
 *
 * @throws Failure (usage) if a flag differs from the file, or the file is for another cluster
 */
export function withFile(cluster: Cluster, { id, choices, name }: ClusterFile): Cluster {
  const { chosen } = cluster;
  if (id !== undefined && id !== cluster.id) {
    throw new Failure("usage", `${name} is for cluster ${id}, not for ${cluster.id}`, {
      hint: "nothing was changed; leave the id out of one of them, or make them the same",
    });
  }
  for (const [key, flag, field] of flagFields) {
    const [flags, files] = [chosen[key], choices[key]];
    if (flags === undefined || files === undefined || flags === files) continue;
    throw new Failure(
      "usage",
      `${flag} (${formatDuration(flags)}) differs from ${field} in ${name} (${formatDuration(files)})`,
      { hint: "nothing was changed; leave the flag out, or change the file" },
    );
  }
  return { ...defineCluster(cluster.id, { ...choices, ...chosen }), chosen };
}
