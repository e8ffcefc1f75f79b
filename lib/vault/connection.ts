import type { Failure } from "../failure.ts";

export interface TlsOptions {
  /**
   * Trusted certificates in PEM: CAs, or the server's own certificate. The runtime's own list is used if there are
   * none.
   */
  readonly ca?: readonly string[];
  /** Where those were named, for messages. */
  readonly caFrom?: string;
  /** The client certificate and its key, in PEM, for a server that asks for one. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The name that the server's certificate must hold, instead of the one in the address. */
  readonly serverName?: string | undefined;
  /** Accept any certificate. */
  readonly skipVerify?: boolean;
  /** Called when a connection could not be opened: finds the setting that is to blame, or undefined if none is. */
  readonly findFault?: () => Promise<Failure | undefined>;
}

/** A proxy that leads to the server. */
export interface ProxyServer {
  /** May hold a user and a password. */
  readonly url: URL;
  /** The environment variable that names it, for messages. */
  readonly from: string;
}
