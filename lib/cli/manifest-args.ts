import type { Arguments } from "./arguments.ts";
import type { HostArgs } from "./host-client.ts";

/** The flags about manifests. */
export const manifestArgs = {
  config: {
    type: "string",
    description: "a manifest, instead of the three arguments",
    valueHint: "FILE",
    group: "Manifests",
  },
  "config-dir": {
    type: "string",
    description: "every manifest (*.toml) in a folder",
    valueHint: "FOLDER",
    group: "Manifests",
  },
  check: {
    type: "boolean",
    description: "with manifests: show what is due, and exit with 2 if anything is; asks no server",
    group: "Manifests",
  },
  reissue: {
    type: "boolean",
    description:
      "with manifests: replace every certificate now, due or not, and outside its window; keys stay",
    group: "Manifests",
  },
  hooks: {
    type: "string",
    description: "with manifests: run hooks now, leave them pending for later, or run only pending ones",
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
  readonly reissue?: boolean | undefined;
  readonly hooks: string;
  readonly json?: boolean | undefined;
}
