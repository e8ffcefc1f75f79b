import type { ServerBinary } from "./binary.ts";
import type { Endpoint } from "./http.ts";

interface CommonOptions {
  /** @default the result of `resolveServerBinary` */
  binary?: ServerBinary;
  /** Its files go here and stay. @default a temporary folder, removed at the end */
  dataDir?: string;
}

export interface DevOptions extends CommonOptions {
  mode: "dev" | "dev-tls";
  /** @default a random one */
  rootToken?: string;
  /** @default a free one */
  port?: number;
}

export interface RaftOptions extends CommonOptions {
  mode: "raft";
  /** Certificate and key for 127.0.0.1, and the CA that signed them. @default plain HTTP */
  tls?: ListenerTls;
  /**
   * The active server of a cluster, which this one joins as a standby with a vote. A cluster needs three servers to
   * survive the loss of one.
   */
  join?: RaftServer;
}

interface ListenerTls {
  certFile: string;
  keyFile: string;
  caFile: string;
  /** Makes the server require a client certificate of this CA. We use this one. */
  client?: { certFile: string; keyFile: string };
}

/** A real server on the loopback. It ends with this process, however that ends. */
export interface Server extends Endpoint, AsyncDisposable {
  readonly binary: ServerBinary;
  readonly rootToken: string;
  readonly dataDir: string;
  /** Undefined while it isn't running. */
  readonly pid: number | undefined;
  /** The last lines of its log, for error messages. */
  log(lines?: number): string;
  /** Stops it cleanly. */
  stop(): Promise<void>;
  /** Kills it, like a crash. */
  kill(): Promise<void>;
}

export interface RaftServer extends Server {
  readonly unsealKey: string;
  /** Starts it again after `stop` or `kill`, with the same data and port, and unseals it. */
  start(): Promise<void>;
  /** A standby can't be sealed. */
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** Whether it is unsealed and not a standby. */
  isActive(): Promise<boolean>;
}
