import type { Failure } from "../failure.ts";

export interface TlsOptions {
  /**
   * PEM certificates that are trusted: each may have signed the server's, or be it. The runtime's own list where there
   * are none.
   */
  readonly ca?: readonly string[];
  /** What named those, for sentences. */
  readonly caFrom?: string;
  /** PEM certificate and key that we show to a server that asks. */
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  /** The name that the server's certificate must hold, instead of the address'. */
  readonly serverName?: string | undefined;
  /** Trust whoever answers. */
  readonly skipVerify?: boolean;
  /** What of all this can't be used, where nothing could be opened with it; undefined where that is not why. */
  readonly findFault?: () => Promise<Failure | undefined>;
}

/** On the way to the server. */
export interface ProxyServer {
  /** A user and a password may be in it. */
  readonly url: URL;
  /** The variable that names it, for sentences. */
  readonly from: string;
}
