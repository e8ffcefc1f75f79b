import { isDeepStrictEqual } from "node:util";
import { Failure, reworded } from "../failure.ts";
import type { Source } from "../toml/reader.ts";
import { deleteSecret, writeSecret } from "../vault/kv.ts";
import type { Fields } from "../vault/shape.ts";
import type { Cluster } from "./cluster.ts";
import { type ClusterFile, type Half, readClusterFile, readEarlierFile } from "./cluster-file.ts";
import type { FieldChange } from "./compare.ts";
import { isMountedAsWanted } from "./mount-resources.ts";
import { secretsMount } from "./mounts.ts";
import type { Resource, Unwanted } from "./plan.ts";
import { storedRights } from "./rights.ts";
import type { ServerView } from "./server-view.ts";

/** The secret that stores a half's part of the cluster file. Hosts can't read it. */
export function storedFilePath(cluster: Cluster, half: Half): string {
  return `${cluster.id}/secrets/cluster-file-${half}`;
}

export function storedFileRights(cluster: Cluster, half: Half) {
  return storedRights(storedFilePath(cluster, half));
}

/**
 * The part of the cluster file that a half was set up with before; undefined if there was none.
 *
 * @param isFormer the half no longer uses it, so that names which are refused today are accepted
 * @throws Failure (config) if the stored part can't be read
 */
export async function readStoredFile(
  view: ServerView,
  cluster: Cluster,
  half: Half,
  isFormer: boolean,
): Promise<ClusterFile | undefined> {
  // The mount's own resource refuses another type.
  if (!isMountedAsWanted(await view.mounts(), secretsMount(cluster))) return undefined;
  const name = `secret ${storedFilePath(cluster, half)}`;
  const values = await view.secret(storedFilePath(cluster, half));
  if (values === undefined) return undefined;
  const source: Source = {
    what: "a cluster file",
    values,
    location: (field, within) =>
      `${name}: ${within === undefined ? "" : `${within.table}[${within.index}].`}${printableField(field)}`,
  };
  const readWithHint = (hint: string, read: typeof readEarlierFile) => {
    try {
      return read(source, name);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw reworded(error, { hint: `nothing was changed; ${hint}` });
    }
  };
  const file = readWithHint("fix that secret, or remove it and give --config", readEarlierFile);
  return isFormer ? file : readWithHint("give --config with a correct file, or --narrow", readClusterFile);
}

/** Anyone who can write the secret chooses its field names, so they are escaped for the terminal. */
function printableField(field: string): string {
  return /^[\w-]+$/.test(field) ? field : JSON.stringify(field);
}

/** @param part what should be stored; if it is empty, the secret should not exist */
export function storedFileResource(cluster: Cluster, half: Half, part: Fields): Resource | Unwanted {
  const path = storedFilePath(cluster, half);
  const place = {
    kind: "cluster file",
    path,
    rights: storedFileRights(cluster, half),
    read: (view: ServerView) => view.secret(path),
  };
  if (Object.keys(part).length === 0) return { ...place, remove: (client) => deleteSecret(client, path) };
  const write: Resource["create"] = (client) => writeSecret(client, path, part);
  return {
    ...place,
    fields: part,
    create: write,
    update: write,
    // All fields of both: a field that the file no longer has is removed.
    differences: (found) =>
      [...new Set([...Object.keys(part), ...Object.keys(found)])].flatMap((field): FieldChange[] => {
        const [from = null, to = null] = [found[field], part[field]];
        return isDeepStrictEqual(from, to) ? [] : [{ field, from, to }];
      }),
  };
}
