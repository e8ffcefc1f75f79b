import type { Arguments } from "./arguments.ts";
import type { HostArgs } from "./host-client.ts";

/** The flags by which a command line speaks of manifests. */
export const manifestArgs = {
  config: {
    type: "string",
    description: "a manifest, in place of the three arguments",
    valueHint: "FILE",
    group: "Manifests",
  },
  "config-dir": {
    type: "string",
    description: "every manifest (*.toml) of a folder",
    valueHint: "FOLDER",
    group: "Manifests",
  },
  check: {
    type: "boolean",
    description: "with manifests: tell what is due, ask no server, and exit with 2 for any",
    group: "Manifests",
  },
  hooks: {
    type: "string",
    description: "with manifests: run hooks now, leave them for later, or run only those left",
    choices: ["now", "later", "only"],
    default: "now",
    valueHint: "WHEN",
    group: "Manifests",
  },
} as const satisfies Arguments;

export interface ManifestArgs extends HostArgs {
  readonly config?: string | undefined;
  readonly "config-dir"?: string | undefined;
  readonly check?: boolean | undefined;
  readonly "refresh-ca"?: boolean | undefined;
  readonly hooks: string;
  readonly json?: boolean | undefined;
}
