import type { ServerBinary } from "./binary.ts";
import type { Endpoint } from "./http.ts";

interface CommonOptions {
  /** @default what `resolveServerBinary` finds */
  binary?: ServerBinary;
  /** Keeps its files here and leaves them. @default a temporary folder, removed at the end */
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
   * The active server of a cluster that this one joins, as a standby with a vote. A cluster outlives the loss
   * of one only if it has three.
   */
  join?: RaftServer;
}

interface ListenerTls {
  certFile: string;
  keyFile: string;
  caFile: string;
  /** When given, the server takes only clients with a certificate of this CA; we use this one. */
  client?: { certFile: string; keyFile: string };
}

/** A real server of our own on the loopback. It ends with this process, however that ends. */
export interface Server extends Endpoint, AsyncDisposable {
  readonly binary: ServerBinary;
  readonly rootToken: string;
  readonly dataDir: string;
  /** Undefined when it isn't running. */
  readonly pid: number | undefined;
  /** The end of its log, for failure messages. */
  log(lines?: number): string;
  /** Ends it as an admin would. */
  stop(): Promise<void>;
  /** Ends it as a crash would. */
  kill(): Promise<void>;
}

export interface RaftServer extends Server {
  readonly unsealKey: string;
  /** Starts it again after `stop` or `kill`, with the same data and port, and unseals it. */
  start(): Promise<void>;
  /** A standby can't be sealed. */
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** Whether it is unsealed and no standby. */
  isActive(): Promise<boolean>;
}
