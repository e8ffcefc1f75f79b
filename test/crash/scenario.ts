import type { VaultClient } from "../../lib/vault/client.ts";
import type { Api } from "../cluster/api.ts";
import type { Relay } from "../support/relay.ts";

/** The surroundings of a scenario: its own folder, and a server with cluster `demo` that counts requests. */
export interface World {
  readonly folder: string;
  readonly relay: Relay;
  /** Runs an executable without disturbing it. Throws unless it exits with 0. */
  run(script: string, args: readonly string[]): Promise<void>;
  /** For the scenarios of admins. */
  readonly admin: VaultClient;
  /** The same server, for plain calls. */
  readonly api: Api;
  /** The id of a separate cluster that is not set up. */
  readonly cluster: string;
}

export interface Scenario {
  readonly name: string;
  readonly script: string;
  /** Runs with an admin's token, and without a relay, which would go on with a request after the run is killed. */
  readonly isAdmins?: true;
  /** Uses a server with data on disk, which is slower and aborts the requests of a killed run. Runs alone on it. */
  readonly onDisk?: true;
  /** Whether this server can be brought into the initial state. @default true */
  readonly isPossible?: (api: Api) => Promise<boolean>;
  /** A command to put before the script's. */
  readonly within?: (world: World) => readonly string[];
  args(world: World): readonly string[];
  /** Prepares the initial state. */
  prepare(world: World): Promise<void>;
  /** Checks what must hold after the run was stopped at any point. */
  stopped(world: World): void | Promise<void>;
  /** Checks what must hold after one more run. */
  done(world: World): void | Promise<void>;
}
