import { type ClusterFile, readClusterFile } from "../cluster/cluster-file.ts";
import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";
import { readSmallFile } from "../host/read-file.ts";
import { locationOf, parseToml } from "../toml/parse.ts";
import type { Arguments } from "./arguments.ts";

/** The flags about the cluster file. */
export const clusterFileArgs = {
  config: {
    type: "string",
    description: "cluster file, in TOML; without it, the last cluster file still counts",
    valueHint: "FILE",
    group: "Cluster",
  },
  narrow: {
    type: "boolean",
    description: "go back to a cluster without a file, and remove what only the last file asked for",
    group: "Cluster",
  },
} as const satisfies Arguments;

const maxBytes = 256 * 1024;

/**
 * Reads a cluster file.
 *
 * @throws Failure (config) when it is missing, invalid or writable by everyone
 */
export function loadClusterFile(file: string): ClusterFile {
  const content = readSmallFile(file, maxBytes);
  if (content === undefined) {
    throw new Failure("config", `there is no file ${printable(file)}`, {
      hint: "give the path of the cluster file",
    });
  }
  const { text, stats } = content;
  if ((stats.mode & 0o002) !== 0) {
    throw new Failure("config", `${printable(file)} is writable by everyone`, {
      hint: `its writers decide what hosts may do; chmod o-w ${printable(file)}`,
    });
  }
  if (text.includes("\ufffd")) throw new Failure("config", `${printable(file)} is not UTF-8`);
  return readClusterFile(
    {
      what: "a cluster file",
      values: parseToml(text, file),
      location: (field, within) => locationOf(field, text, file, within),
    },
    printable(file),
  );
}
