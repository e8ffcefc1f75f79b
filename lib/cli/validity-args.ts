import type { Arguments } from "./arguments.ts";

/** Not their `default`, which would tell nothing of whether the flag was given. */
const orFile = ", or as the file says";

/** The flags by which a command line says how long what a cluster has may live. */
export const validityArgs = {
  "max-validity-ca": {
    type: "string",
    description: `life of the CAs, and of their mounts' longest lease (20y${orFile})`,
    valueHint: "DURATION",
    group: "Validity",
  },
  "max-validity-admin": {
    type: "string",
    description: `longest life of an admin's certificate (365d${orFile})`,
    valueHint: "DURATION",
    group: "Validity",
  },
  "max-validity-components": {
    type: "string",
    description: `longest life of every other certificate (30d${orFile})`,
    valueHint: "DURATION",
    group: "Validity",
  },
} as const satisfies Arguments;

export type ValidityArgs = Readonly<Partial<Record<keyof typeof validityArgs, string | undefined>>>;
