import { Failure } from "../failure.ts";
import { refuseForeignLinks } from "../host/folder.ts";
import { takeHostLock } from "../host/host-lock.ts";
import {
  isInitTokenLeftOver,
  narrowTokenFile,
  readTokenFile,
  removeInitToken,
  removeTokenTemporaries,
  storeToken,
  type TokenFile,
  type TokenPaths,
  tokenPaths,
} from "../host/token-files.ts";
import type { VaultClient } from "../vault/client.ts";
import { means, VaultError } from "../vault/error.ts";
import { lookupSelf, type NewToken, renewSelf, revokeSelf } from "../vault/token.ts";
import { isUnknownToken } from "../vault/unknown-token.ts";
import { wrappedPath } from "../vault/wrapping.ts";
import { createNamedToken } from "./named-token.ts";

export interface HostTokenOptions {
  /** Without a token of its own. */
  readonly client: VaultClient;
  /** The configuration directory: `token` and `init-token` are in it. */
  readonly configPath: string;
  /** The folder of the unit's credentials: its `init-token` serves where that of `configPath` is missing or empty. */
  readonly credentialsPath?: string | undefined;
  /** The token role, `<cluster>-<host role>`; needed for a trade alone. */
  readonly initRole?: string | undefined;
  /** Ends the waiting for another run. */
  readonly signal: AbortSignal;
  /** Told what a person should know and no result says. */
  readonly onNote?: (sentence: string) => void;
}

export interface HostToken {
  readonly token: string;
  readonly accessor: string;
  /** Seconds left; zero for one that never expires. */
  readonly ttlSeconds: number;
  readonly how: "renewed" | "traded" | "not renewable";
}

/**
 * Keeps the host's token alive: renews the one in `token`, or trades the init token for one.
 *
 * The common case is one request and no write. The trade stores the new token durably before the init token goes,
 * so a host that is stopped at any moment still holds one of the two.
 *
 * @throws Failure (permission) when neither token is of use; (data) when a file holds no token; (file);
 *   (temporary) when the server can't be had
 */
export async function keepHostToken(options: HostTokenOptions): Promise<HostToken> {
  refuseForeignLinks(options.configPath);
  const paths = tokenPaths(options.configPath, options.credentialsPath);
  const once = { ...options, onNote: onceEach(options.onNote) };
  const held = readToken(paths.token, once);
  if (held.state === "filled") {
    const kept = await renew(held.token, paths, once);
    if (kept !== undefined) return kept;
  }
  return await trade(held, paths, once);
}

/** A file is read more than once, and what is wrong with it told once. */
function onceEach(onNote: HostTokenOptions["onNote"]): (sentence: string) => void {
  const told = new Set<string>();
  return (sentence) => {
    if (!told.has(sentence)) onNote?.(sentence);
    told.add(sentence);
  };
}

function readToken(path: string, options: HostTokenOptions): TokenFile {
  const file = readTokenFile(path);
  if (file.state === "filled" && file.isWide) cleanUp(options, () => narrow(path, options));
  return file;
}

function narrow(path: string, { onNote }: HostTokenOptions): void {
  onNote?.(
    narrowTokenFile(path) === "linked"
      ? `${path} is readable by others, and has another name (a hard link), so its mode is left as it is`
      : `${path} was readable by others; its mode is 0600 now`,
  );
}

/** What is no part of the job itself, and must not stop it: where it fails, that is told. */
function cleanUp({ onNote }: HostTokenOptions, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    onNote?.(error.hint === undefined ? error.message : `${error.message}; ${error.hint}`);
  }
}

/** Undefined where the server does not know the token. */
async function renew(
  token: string,
  paths: TokenPaths,
  options: HostTokenOptions,
): Promise<HostToken | undefined> {
  const { client } = options;
  try {
    const { accessor, leaseSeconds, isLimited } = await renewSelf(client, token);
    if (isLimited)
      options.onNote?.(`the token in ${paths.token} is good for a number of requests: ${noLimit}`);
    cleanUp(options, () => {
      if (isInitTokenLeftOver(paths)) removeInitToken(paths.initToken);
    });
    return { token, accessor, ttlSeconds: leaseSeconds, how: "renewed" };
  } catch (error) {
    // The second is said of a token whose last use this was.
    if ((await isUnknownToken(client, token, error)) || means(error, "unknownAccessor")) return undefined;
    if (!means(error, "notRenewable")) throw error;
    const { accessor, ttlSeconds } = await lookupSelf(client, token);
    return { token, accessor, ttlSeconds, how: "not renewable" };
  }
}

/** What to do about such a limit. */
export const noLimit = "each run takes some, and a host needs one without that limit";

async function trade(held: TokenFile, paths: TokenPaths, options: HostTokenOptions): Promise<HostToken> {
  requireChance(held, paths, options);
  const { configPath, signal, onNote } = options;
  const thing = { kind: "token", folder: configPath, base: "token", name: paths.token } as const;
  using _ = await takeHostLock(thing, { signal, onWait: onNote });
  // Another run may have traded while this one waited.
  const other = replacement(held, paths, options);
  if (other !== undefined) {
    const kept = await renew(other, paths, options);
    if (kept !== undefined) return kept;
  }
  const init = requireInitToken(held, paths, options);
  cleanUp(options, () => removeTokenTemporaries(paths.token));
  await refuseWrapping(init, options);
  const made = await create(init, options);
  // Before it is stored: should this run end here, the log tells which token nobody holds.
  options.onNote?.(`the init token got this host a token of its own, accessor ${made.accessor}`);
  await store(made, paths, options);
  // A credential stays, and is of no use while the token lives.
  if (init.path === paths.initToken) cleanUp(options, () => removeInitToken(paths.initToken));
  return { token: made.token, accessor: made.accessor, ttlSeconds: made.leaseSeconds, how: "traded" };
}

/** Looked at before the lock: a host that can't trade is told so at once. */
function requireChance(held: TokenFile, paths: TokenPaths, options: HostTokenOptions): void {
  try {
    requireInitToken(held, paths, options);
  } catch (error) {
    // Gone, perhaps, since another run traded it after this one had read the token.
    if (replacement(held, paths, options) === undefined) throw error;
  }
}

/** The token that another run has put there since this one read it; undefined while it is the same. */
function replacement(held: TokenFile, paths: TokenPaths, options: HostTokenOptions): string | undefined {
  const now = readToken(paths.token, options);
  const isSame = now.state !== "filled" || (held.state === "filled" && held.token === now.token);
  return isSame ? undefined : now.token;
}

/** An init token that was found. */
interface InitToken {
  readonly token: string;
  readonly path: string;
  readonly role: string;
}

/** What a trade needs. */
function requireInitToken(held: TokenFile, paths: TokenPaths, options: HostTokenOptions): InitToken {
  const own = readToken(paths.initToken, options);
  const [path, file] = own.state === "filled" ? [paths.initToken, own] : readCredential(paths);
  if (file.state !== "filled") {
    const words: Record<TokenFile["state"], string> = {
      missing: `there is no token at ${paths.token}`,
      empty: `the token file ${paths.token} is empty`,
      blank: `the token file ${paths.token} holds no token`,
      filled: `the server does not know the token in ${paths.token}: it expired, was revoked, or is another server's`,
    };
    const init = own.state === "missing" ? "there is no init token" : `the init token is ${own.state}`;
    const credential = paths.credential === undefined ? "" : `, nor is there one at ${paths.credential}`;
    throw new Failure("permission", `${words[held.state]}, and ${init} at ${paths.initToken}${credential}`, {
      hint:
        "an admin reads the init token of the host's role with `vault read -field=init_token CLUSTER/secrets/init_token_ROLE`, " +
        `puts it at ${paths.initToken} with mode 0600${credential === "" ? "" : ", or into the unit's credential init-token"}, and runs renew-token`,
    });
  }
  if (options.initRole === undefined) {
    throw new Failure("config", "the init token's role is not set", {
      hint: "set VAULT_INIT_ROLE or --init-role to CLUSTER-ROLE, like demo-worker",
    });
  }
  // It becomes a part of a path in the server, where a slash would make it another path.
  if (!/^[\w.-]*\w$/.test(options.initRole)) {
    throw new Failure("config", `${JSON.stringify(options.initRole)} is not the name of a token role`, {
      hint: "set VAULT_INIT_ROLE or --init-role to CLUSTER-ROLE, like demo-worker",
    });
  }
  return { token: file.token, path, role: options.initRole };
}

/** Not narrowed, as a file of ours is: it is the service manager's, who gives it to this unit alone. */
function readCredential({ credential = "" }: TokenPaths): readonly [path: string, file: TokenFile] {
  return [credential, credential === "" ? { state: "missing" } : readTokenFile(credential)];
}

/** Any request but the one that unwraps it would use it up, and what it holds be lost. */
async function refuseWrapping({ token, path }: InitToken, { client }: HostTokenOptions): Promise<void> {
  const wrapped = await wrappedPath(client, token);
  if (wrapped === undefined) return;
  throw new Failure(
    "data",
    `${path} holds a wrapping token, and no init token: it wraps the answer of ${wrapped}`,
    {
      hint: "it was not used up: unwrap it with `vault unwrap`, and put the token that is in it there, with mode 0600",
    },
  );
}

async function create(init: InitToken, { client }: HostTokenOptions): Promise<NewToken> {
  try {
    return await createNamedToken(client, init.role, init.token);
  } catch (error) {
    if (!(error instanceof VaultError) || error.kind !== "permission") throw error;
    const { message, hint } = error;
    const unknown = `the server does not know the init token in ${init.path}: it expired, was revoked, or is another server's`;
    throw (await isUnknownToken(client, init.token, error))
      ? new Failure("permission", unknown, {
          hint:
            "an admin finds the present one in CLUSTER/secrets/init_token_ROLE; write-roles makes a new one if the server " +
            "does not know that either; check VAULT_ADDR",
          cause: error,
        })
      : new Failure("permission", message, {
          hint: `${hint}: the init token in ${init.path} may be another role's; check VAULT_INIT_ROLE`,
          cause: error,
        });
  }
}

/** A token that can't be kept is given back, so that none lives on unused; which one, the log says. */
async function store(made: NewToken, paths: TokenPaths, { client, onNote }: HostTokenOptions): Promise<void> {
  try {
    storeToken(paths.token, made.token);
  } catch (error) {
    await revokeSelf(client, made.token).then(
      () => onNote?.(`the new token (accessor ${made.accessor}) could not be stored, and was revoked`),
      () =>
        onNote?.(`the new token (accessor ${made.accessor}) could not be stored; revoke it by its accessor`),
    );
    throw error;
  }
}
