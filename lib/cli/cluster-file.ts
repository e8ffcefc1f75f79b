import { type ClusterFile, readClusterFile } from "../cluster/cluster-file.ts";
import { Failure } from "../failure.ts";
import { printable } from "../host/file-error.ts";
import { readSmallFile } from "../host/read-file.ts";
import { locationOf, parseToml } from "../toml/parse.ts";
import type { Arguments } from "./arguments.ts";

/** The flags by which a set-up's command line speaks of a file. */
export const clusterFileArgs = {
  config: {
    type: "string",
    description: "what the cluster is to be, in TOML: else what its last file said",
    valueHint: "FILE",
    group: "Cluster",
  },
  narrow: {
    type: "boolean",
    description: "go back to a cluster without a file, and take away what its last one gave",
    group: "Cluster",
  },
} as const satisfies Arguments;

const maxBytes = 256 * 1024;

/**
 * Reads a cluster's file.
 *
 * @throws Failure (config) when it is missing, not right, or everybody may write it
 */
export function loadClusterFile(file: string): ClusterFile {
  const content = readSmallFile(file, maxBytes);
  if (content === undefined) {
    throw new Failure("config", `there is no file ${printable(file)}`, {
      hint: "give the path of the cluster's file",
    });
  }
  const { text, stats } = content;
  if ((stats.mode & 0o002) !== 0) {
    throw new Failure("config", `${printable(file)} can be written by everybody`, {
      hint: `whoever writes it decides what hosts may do; chmod o-w ${printable(file)}`,
    });
  }
  if (text.includes("\ufffd")) throw new Failure("config", `${printable(file)} is not UTF-8`);
  return readClusterFile(
    {
      what: "a cluster's file",
      values: parseToml(text, file),
      location: (field, within) => locationOf(field, text, file, within),
    },
    printable(file),
  );
}
