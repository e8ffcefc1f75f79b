import { Failure } from "../failure.ts";
import { takeHostLock } from "../host/host-lock.ts";
import {
  readTokenFile,
  removeInitToken,
  removeTokenTemporaries,
  storeToken,
  type TokenFile,
  type TokenPaths,
} from "../host/token-files.ts";
import { VaultError } from "../vault/error.ts";
import { type NewToken, revokeSelf } from "../vault/token.ts";
import { isUnknownToken } from "../vault/unknown-token.ts";
import { wrappedPath } from "../vault/wrapping.ts";
import { createNamedToken } from "./named-token.ts";
import { cleanUp, type HostTokenOptions, type KeptToken, readToken, renewToken } from "./renew-token.ts";

/**
 * Exchanges the init token for a host token.
 *
 * @param held the token file as this run has read it
 * @throws Failure as `keepHostToken`
 */
export async function exchangeToken(
  held: TokenFile,
  paths: TokenPaths,
  options: HostTokenOptions,
): Promise<KeptToken> {
  requireExchangeable(held, paths, options);
  const { configPath, signal, onNote } = options;
  const thing = { kind: "token", folder: configPath, base: "token", name: paths.token } as const;
  using _ = await takeHostLock(thing, { signal, onWait: onNote });
  // Another run may have exchanged the init token while this one waited.
  const other = replacement(held, paths, options);
  if (other !== undefined) {
    const kept = await renewToken(other, paths, options);
    if (kept !== undefined) return kept;
  }
  const init = requireInitToken(held, paths, options);
  cleanUp(options, () => removeTokenTemporaries(paths.token));
  await refuseWrapping(init, options);
  const made = await create(init, options);
  // Noted before it is stored: if the run ends here, the log names the token that is lost.
  options.onNote?.(`the init token was exchanged for a host token, accessor ${made.accessor}`);
  await store(made, paths, options);
  // A credential stays. It is not used as long as the host token works.
  if (init.path === paths.initToken) cleanUp(options, () => removeInitToken(paths.initToken));
  return { token: made.token, accessor: made.accessor, ttlSeconds: made.leaseSeconds, how: "exchanged" };
}

/** Called before the lock is taken, so that a host that has nothing to exchange fails at once. */
function requireExchangeable(held: TokenFile, paths: TokenPaths, options: HostTokenOptions): void {
  try {
    requireInitToken(held, paths, options);
  } catch (error) {
    // The init token may be gone because another run exchanged it after this one had read the token.
    if (replacement(held, paths, options) === undefined) throw error;
  }
}

/** The token that another run has stored since this run read the file; undefined if the file still holds the same. */
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

/** The init token with its role. @throws Failure (permission), (config) if an exchange is not possible */
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
        "an admin has to read the init token of the host's role with `vault read -field=init_token CLUSTER/secrets/init_token_ROLE`, " +
        `put it at ${paths.initToken} with mode 0600${credential === "" ? "" : ", or into the unit's credential init-token"}, and run renew-token`,
    });
  }
  if (options.initRole === undefined) {
    throw new Failure("config", "the init token's role is not set", {
      hint: "set VAULT_INIT_ROLE or --init-role to CLUSTER-ROLE, like demo-worker",
    });
  }
  // It becomes part of a path in the server. A slash would make that another path.
  if (!/^[\w.-]*\w$/.test(options.initRole)) {
    throw new Failure("config", `${JSON.stringify(options.initRole)} is not the name of a token role`, {
      hint: "set VAULT_INIT_ROLE or --init-role to CLUSTER-ROLE, like demo-worker",
    });
  }
  return { token: file.token, path, role: options.initRole };
}

/** Its mode is left alone: the file belongs to the service manager, which passes it to this unit only. */
function readCredential({ credential = "" }: TokenPaths): readonly [path: string, file: TokenFile] {
  return [credential, credential === "" ? { state: "missing" } : readTokenFile(credential)];
}

/** Refuses a wrapping token: any request except unwrapping would use it up, and its content would be lost. */
async function refuseWrapping({ token, path }: InitToken, { client }: HostTokenOptions): Promise<void> {
  const wrapped = await wrappedPath(client, token);
  if (wrapped === undefined) return;
  throw new Failure(
    "data",
    `${path} holds a wrapping token instead of an init token: it wraps the answer of ${wrapped}`,
    {
      hint: "it was not used up: unwrap it with `vault unwrap`, and store the token from it there, with mode 0600",
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
            "an admin finds the current one in CLUSTER/secrets/init_token_ROLE; write-roles makes a new one if the server " +
            "does not know that either; check VAULT_ADDR",
          cause: error,
        })
      : new Failure("permission", message, {
          hint: `${hint}: the init token in ${init.path} may be for another role; check VAULT_INIT_ROLE`,
          cause: error,
        });
  }
}

/** Stores a new token. If that fails, revokes it, so that no unused token stays valid; the log names it. */
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
