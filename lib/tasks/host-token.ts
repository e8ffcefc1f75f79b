import { refuseForeignLinks } from "../host/folder.ts";
import { tokenPaths } from "../host/token-files.ts";
import { type HostTokenOptions, type KeptToken, readToken, renewToken } from "./renew-token.ts";

/**
 * Keeps the host token alive: renews the one in `token`, or exchanges the init token for a new one.
 *
 * The common case is one request and no write. An exchange stores the new token durably before it removes the init
 * token, so a host that is stopped at any moment still has one of the two.
 *
 * @throws Failure (permission) when neither token can be used; (data) when a file holds no token; (file);
 *   (temporary) when the server can't be reached
 */
export async function keepHostToken(options: HostTokenOptions): Promise<KeptToken> {
  refuseForeignLinks(options.configPath);
  const paths = tokenPaths(options.configPath, options.credentialsPath);
  const once = { ...options, onNote: onceEach(options.onNote) };
  const held = readToken(paths.token, once);
  if (held.state === "filled") {
    const kept = await renewToken(held.token, paths, once);
    if (kept !== undefined) return kept;
  }
  const { exchangeToken } = await import("./exchange-token.ts");
  return await exchangeToken(held, paths, once);
}

/** Passes each sentence on once: a file is read more than once, but a fault of it should be noted only once. */
function onceEach(onNote: HostTokenOptions["onNote"]): (sentence: string) => void {
  const told = new Set<string>();
  return (sentence) => {
    if (!told.has(sentence)) onNote?.(sentence);
    told.add(sentence);
  };
}
