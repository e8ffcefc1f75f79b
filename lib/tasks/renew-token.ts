import { Failure } from "../failure.ts";
import {
  isInitTokenLeftOver,
  narrowTokenFile,
  readTokenFile,
  removeInitToken,
  type TokenFile,
  type TokenPaths,
} from "../host/token-files.ts";
import type { VaultClient } from "../vault/client.ts";
import { means } from "../vault/error.ts";
import { lookupSelf, renewSelf } from "../vault/token.ts";
import { isUnknownToken } from "../vault/unknown-token.ts";

export interface HostTokenOptions {
  /** A client without a token. */
  readonly client: VaultClient;
  /** The configuration folder, with `token` and `init-token`. */
  readonly configPath: string;
  /** The folder of the unit's credentials. Its `init-token` is used if the one in `configPath` is missing or empty. */
  readonly credentialsPath?: string | undefined;
  /** The token role, `<cluster>-<host role>`. Only needed for an exchange. */
  readonly initRole?: string | undefined;
  /** Stops waiting for another run. */
  readonly signal: AbortSignal;
  /** Takes a sentence about anything that a person should know and the result does not say. */
  readonly onNote?: (sentence: string) => void;
}

/** The host token after a run. */
export interface KeptToken {
  readonly token: string;
  readonly accessor: string;
  /** Seconds left; zero for a token that never expires. */
  readonly ttlSeconds: number;
  /** How the run got it. */
  readonly how: "renewed" | "exchanged" | "not renewable";
}

/**
 * Reads a token file, and narrows its mode if others can read it.
 *
 * @throws Failure as `readTokenFile`
 */
export function readToken(path: string, options: HostTokenOptions): TokenFile {
  const file = readTokenFile(path);
  if (file.state === "filled" && file.isWide) cleanUp(options, () => narrow(path, options));
  return file;
}

function narrow(path: string, { onNote }: HostTokenOptions): void {
  onNote?.(
    narrowTokenFile(path) === "linked"
      ? `${path} is readable by others, and has a second name (a hard link), so its mode was not changed`
      : `${path} was readable by others; its mode is 0600 now`,
  );
}

/** Does something that is not part of the job and must not stop it. A failure only becomes a note. */
export function cleanUp({ onNote }: HostTokenOptions, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    onNote?.(error.hint === undefined ? error.message : `${error.message}; ${error.hint}`);
  }
}

/**
 * Renews a host token, and removes the init token that it was exchanged for if that is still there.
 *
 * @returns undefined if the server does not know the token
 */
export async function renewToken(
  token: string,
  paths: TokenPaths,
  options: HostTokenOptions,
): Promise<KeptToken | undefined> {
  const { client } = options;
  try {
    const { accessor, leaseSeconds, isLimited } = await renewSelf(client, token);
    if (isLimited)
      options.onNote?.(
        `the token in ${paths.token} is limited to a number of requests: ${requestLimitAdvice}`,
      );
    cleanUp(options, () => {
      if (isInitTokenLeftOver(paths)) removeInitToken(paths.initToken);
    });
    return { token, accessor, ttlSeconds: leaseSeconds, how: "renewed" };
  } catch (error) {
    // The server gives the second answer if this request was the last that the token was good for.
    if ((await isUnknownToken(client, token, error)) || means(error, "unknownAccessor")) return undefined;
    if (!means(error, "notRenewable")) throw error;
    const { accessor, ttlSeconds } = await lookupSelf(client, token);
    return { token, accessor, ttlSeconds, how: "not renewable" };
  }
}

/** Why a token with a limited number of requests is of no use to a host. */
export const requestLimitAdvice = "each run uses some of them, so a host needs a token without that limit";
