import type { VaultClient } from "../../lib/vault/client.ts";
import type { Api } from "../cluster/api.ts";
import type { Relay } from "../support/relay.ts";

/** What a scenario plays in: a folder of its own, and a server (with cluster `demo`) that counts what it is asked. */
export interface World {
  readonly folder: string;
  readonly relay: Relay;
  /** Runs an executable to its end, undisturbed; throws unless it exits with 0. */
  run(script: string, args: readonly string[]): Promise<void>;
  /** For a scenario of an admin's. */
  readonly admin: VaultClient;
  /** The same, as plain calls. */
  readonly api: Api;
  /** A cluster of this world's own, not set up. */
  readonly cluster: string;
}

export interface Scenario {
  readonly name: string;
  readonly script: string;
  /** With an admin's token, as a host's commands never are, and with no relay, which would ask on when the run is dead. */
  readonly isAdmins?: true;
  /** In a server that takes its time, and cuts off what it does for a run that dies; nothing else plays in it meanwhile. */
  readonly onDisk?: true;
  /** Whether this server can be brought to where it begins. @default that it can */
  readonly isPossible?: (api: Api) => Promise<boolean>;
  /** A command that runs another, which stands behind it. */
  readonly within?: (world: World) => readonly string[];
  args(world: World): readonly string[];
  /** Makes what stands before the run. */
  prepare(world: World): Promise<void>;
  /** What must hold the moment the run was stopped, wherever that was. */
  stopped(world: World): void | Promise<void>;
  /** What must hold after one more run. */
  done(world: World): void | Promise<void>;
}
