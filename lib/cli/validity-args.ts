import type { Arguments } from "./arguments.ts";

/** The defaults are part of the descriptions. With a `default` field, it would be unknown whether a flag was given. */
const orFile = ", or as the file says";

/** The flags that limit the validity of a cluster's certificates. */
export const validityArgs = {
  "max-validity-ca": {
    type: "string",
    description: `validity of the CAs, and max lease TTL of their mounts (20y${orFile})`,
    valueHint: "DURATION",
    group: "Validity",
  },
  "max-validity-admin": {
    type: "string",
    description: `longest validity of an admin's certificate (365d${orFile})`,
    valueHint: "DURATION",
    group: "Validity",
  },
  "max-validity-components": {
    type: "string",
    description: `longest validity of every other certificate (30d${orFile})`,
    valueHint: "DURATION",
    group: "Validity",
  },
} as const satisfies Arguments;

export type ValidityArgs = Readonly<Partial<Record<keyof typeof validityArgs, string | undefined>>>;
