import { Failure } from "../failure.ts";
import { refuseForeignLinks } from "../host/folder.ts";
import { readTokenFile, type TokenFile, tokenPaths } from "../host/token-files.ts";
import { isUnknownToken } from "../vault/error.ts";
import type { TokenInfo } from "../vault/token.ts";
import { type Finding, isDenied, type State, shellWord } from "./host-status-finding.ts";
import type { Answers } from "./host-status-server.ts";

export interface TokenStatus extends Finding {
  /** Its file. */
  readonly path: string;
  /** Undefined where the server did not tell; so is all below. */
  readonly accessor: string | undefined;
  readonly policies: readonly string[] | undefined;
  readonly renewable: boolean | undefined;
  /** Undefined, too, for one that never expires. */
  readonly expiresAt: Date | undefined;
  readonly dueAt: Date | undefined;
  /** An init token lies there, to be traded for the host's own. */
  readonly initTokenWaits: boolean;
}

/** What stands in the configuration directory. */
export interface HeldTokens {
  readonly configPath: string;
  readonly token: TokenFile | Failure;
  readonly initToken: TokenFile | Failure;
}

/** @param credentialsPath the folder of the unit's credentials, where it runs in one that has any */
export function readTokens(configPath: string, credentialsPath?: string): HeldTokens {
  const paths = tokenPaths(configPath, credentialsPath);
  const read = (path: string) => {
    try {
      refuseForeignLinks(configPath);
      return readTokenFile(path);
    } catch (error) {
      if (error instanceof Failure) return error;
      throw error;
    }
  };
  const own = read(paths.initToken);
  const isOwn = !("state" in own) || own.state === "filled" || paths.credential === undefined;
  return { configPath, token: read(paths.token), initToken: isOwn ? own : read(paths.credential) };
}

/** The token itself: for the server, and nobody else. */
export function heldToken({ token }: HeldTokens): string | undefined {
  return "state" in token && token.state === "filled" ? token.token : undefined;
}

/** How the host's token stands, by its file and by what the server says of it. */
export function tokenStatus(held: HeldTokens, { token: found, server, now }: Answers): TokenStatus {
  const { token: file, initToken } = held;
  const waits = "state" in initToken && initToken.state === "filled";
  const info = found instanceof Failure ? undefined : found;
  const times = info === undefined ? undefined : timesOf(info, now);
  const about = {
    path: tokenPaths(held.configPath).token,
    accessor: info?.accessor,
    policies: info?.policies,
    renewable: info?.renewable,
    expiresAt: times?.expiresAt,
    dueAt: times?.dueAt,
    initTokenWaits: waits,
  };
  const finding = (state: State, ...reasons: string[]): TokenStatus => {
    const wide = "isWide" in file && file.isWide ? ["others may read its file"] : [];
    const worse = wide.length > 0 && state !== "wrong" ? "due" : state;
    const mend = worse === "due" ? { mend: renewCommand(held.configPath) } : {};
    return { ...about, state: worse, reasons: [...reasons, ...wide], ...mend };
  };
  if (file instanceof Failure) {
    return isDenied(file)
      ? finding("unknown", "its file can't be read")
      : finding("wrong", file.message, ...(file.hint === undefined ? [] : [file.hint]));
  }
  if (file.state !== "filled") {
    const none = file.state === "missing" ? "there is none" : `its file is ${file.state}`;
    return waits ? finding("due", "init token waiting") : finding("wrong", none, ...noInitToken(initToken));
  }
  if (isUnknownToken(found)) {
    const unknown = "the server does not know it: it expired, was revoked, or is another server's";
    return waits
      ? finding("due", unknown, "init token waiting")
      : finding("wrong", unknown, ...noInitToken(initToken));
  }
  if (found instanceof Failure) return finding("wrong", found.message);
  if (info === undefined || times === undefined) {
    return finding("unknown", server.state === "wrong" ? "the server could not tell" : "not asked");
  }
  if (times.dueAt === undefined || now < times.dueAt) return finding("ok");
  return info.renewable
    ? finding("due", "less than a third of its life is left")
    : finding("wrong", "it can't be renewed, and less than a third of its life is left");
}

function noInitToken(initToken: HeldTokens["initToken"]): string[] {
  if (initToken instanceof Failure) return [initToken.message];
  return ["no init token waits either: an admin has to put one there"];
}

/** Neither is there for a token that never expires. */
function timesOf({ ttlSeconds, lifeSeconds }: TokenInfo, now: Date) {
  if (ttlSeconds === 0) return { expiresAt: undefined, dueAt: undefined };
  const expiresMs = now.getTime() + ttlSeconds * 1000;
  return { expiresAt: new Date(expiresMs), dueAt: new Date(expiresMs - (lifeSeconds * 1000) / 3) };
}

function renewCommand(configPath: string): string {
  return configPath === "/etc/vault" ? "renew-token" : `renew-token --config-path ${shellWord(configPath)}`;
}
