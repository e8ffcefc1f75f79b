import { isDeepStrictEqual } from "node:util";
import { Failure } from "../failure.ts";
import type { Source } from "../toml/reader.ts";
import { deleteSecret, writeSecret } from "../vault/kv.ts";
import type { Fields } from "../vault/shape.ts";
import type { Cluster } from "./cluster.ts";
import { type ClusterFile, type Half, readClusterFile, readFormerFile } from "./cluster-file.ts";
import type { FieldChange } from "./compare.ts";
import { standsAsWanted } from "./mount-resources.ts";
import { secretsMount } from "./mounts.ts";
import type { Resource, Unwanted } from "./plan.ts";
import { storedRights } from "./rights.ts";
import type { ServerView } from "./server-view.ts";

/** Where the part of the cluster's file is kept that a half was set up with: out of hosts' reach. */
export function storedFilePath(cluster: Cluster, half: Half): string {
  return `${cluster.id}/secrets/cluster-file-${half}`;
}

export function storedFileRights(cluster: Cluster, half: Half) {
  return storedRights(storedFilePath(cluster, half));
}

/**
 * What a half was set up with before; undefined where that was no file, or one that said nothing to it.
 *
 * @param isFormer whether the half goes by it no longer
 * @throws Failure (config) where what is kept there can't be read
 */
export async function readStoredFile(
  view: ServerView,
  cluster: Cluster,
  half: Half,
  isFormer: boolean,
): Promise<ClusterFile | undefined> {
  // Another one is refused by its own resource.
  if (!standsAsWanted(await view.mounts(), secretsMount(cluster))) return undefined;
  const name = `secret ${storedFilePath(cluster, half)}`;
  const values = await view.secret(storedFilePath(cluster, half));
  if (values === undefined) return undefined;
  const source: Source = {
    what: "a cluster's file",
    values,
    location: (field, within) =>
      `${name}: ${within === undefined ? "" : `${within.table}[${within.index}].`}${printableField(field)}`,
  };
  const hinted = (hint: string, read: typeof readFormerFile) => {
    try {
      return read(source, name);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      throw new Failure(error.kind, error.message, {
        cause: error,
        hint: `nothing was changed; ${hint}`,
      });
    }
  };
  const file = hinted("mend that secret, or remove it and give --config", readFormerFile);
  return isFormer ? file : hinted("give --config with a file that is right, or --narrow", readClusterFile);
}

/** Whoever may write the secret names its fields: nothing of that is for the terminal to obey. */
function printableField(field: string): string {
  return /^[\w-]+$/.test(field) ? field : JSON.stringify(field);
}

/** @param part what should be kept; where that is nothing, the secret should not stand */
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
    // Whole: a field that the file no longer has is one that should go.
    differences: (found) =>
      [...new Set([...Object.keys(part), ...Object.keys(found)])].flatMap((field): FieldChange[] => {
        const [from = null, to = null] = [found[field], part[field]];
        return isDeepStrictEqual(from, to) ? [] : [{ field, from, to }];
      }),
  };
}
