import { asFailure, Failure } from "../failure.ts";
import type { Finding, State } from "../finding.ts";
import { isDenied } from "../host/file-error.ts";
import { refuseForeignLinks } from "../host/folder.ts";
import { readTokenFile, type TokenFile, tokenPaths } from "../host/token-files.ts";
import { type TokenInfo, tokenDueSeconds } from "../vault/token.ts";
import type { Answers } from "./host-status-server.ts";
import { requestLimitAdvice } from "./renew-token.ts";

export interface TokenStatus extends Finding {
  /** The token's file. */
  readonly path: string;
  /** Undefined if the server gave no answer, as are the fields below. */
  readonly accessor: string | undefined;
  readonly policies: readonly string[] | undefined;
  readonly renewable: boolean | undefined;
  /** Also undefined for a token that never expires. */
  readonly expiresAt: Date | undefined;
  readonly dueAt: Date | undefined;
  /** Whether an init token waits to be exchanged for a host token. */
  readonly initTokenWaits: boolean;
}

/** The tokens in the configuration folder. */
export interface HeldTokens {
  readonly configPath: string;
  readonly token: TokenFile | Failure;
  readonly initToken: TokenFile | Failure;
}

/**
 * Reads the host token and the init token. A failure takes the place of a token that can't be read.
 *
 * @param credentialsPath the folder of the unit's credentials, if there are any
 */
export function readTokens(configPath: string, credentialsPath?: string): HeldTokens {
  const paths = tokenPaths(configPath, credentialsPath);
  const read = (path: string) => {
    try {
      refuseForeignLinks(configPath);
      return readTokenFile(path);
    } catch (error) {
      return asFailure(error);
    }
  };
  const own = read(paths.initToken);
  const isOwn = !("state" in own) || own.state === "filled" || paths.credential === undefined;
  return { configPath, token: read(paths.token), initToken: isOwn ? own : read(paths.credential) };
}

/** The token itself, to be sent to the server and nowhere else. */
export function heldToken({ token }: HeldTokens): string | undefined {
  return "state" in token && token.state === "filled" ? token.token : undefined;
}

/** The status of the host token, from its file and from the server's answer about it. */
export function tokenStatus(held: HeldTokens, answers: Answers): TokenStatus {
  const { configPath, token: file, initToken } = held;
  const info = isKnown(answers.token) ? answers.token : undefined;
  const times = info && timesOf(info, answers.clocks.server);
  const [judged, ...reasons] = judge(held, answers, times?.dueAt);
  const isWide = "isWide" in file && file.isWide;
  const state = isWide && judged !== "wrong" ? "due" : judged;
  return {
    path: tokenPaths(configPath).token,
    accessor: info?.accessor,
    policies: info?.policies,
    renewable: info?.renewable,
    expiresAt: times?.expiresAt,
    dueAt: times?.dueAt,
    initTokenWaits: isWaiting(initToken),
    state,
    reasons: [...reasons, ...(isWide ? ["others may read its file"] : [])],
    ...(state === "due" ? { fix: { do: "renew token", configPath } } : {}),
  };
}

function isKnown(found: Answers["token"]): found is TokenInfo {
  return found !== undefined && found !== "unknown" && !(found instanceof Failure);
}

function isWaiting(initToken: HeldTokens["initToken"]): boolean {
  return "state" in initToken && initToken.state === "filled";
}

/** The token's state with reasons, leaving the mode of its file aside. */
function judge(
  { token: file, initToken }: HeldTokens,
  { token: found, server, clocks }: Answers,
  dueAt: Date | undefined,
): readonly [state: State, ...reasons: string[]] {
  const waits = isWaiting(initToken);
  if (file instanceof Failure) {
    return isDenied(file)
      ? ["unknown", "its file can't be read"]
      : ["wrong", file.message, ...(file.hint === undefined ? [] : [file.hint])];
  }
  if (file.state !== "filled") {
    const none = file.state === "missing" ? "there is none" : `its file is ${file.state}`;
    return waits ? ["due", "init token waiting"] : ["wrong", none, ...noInitToken(initToken)];
  }
  if (found === "unknown") {
    const unknown = "the server does not know it: it expired, was revoked, or is another server's";
    return waits ? ["due", unknown, "init token waiting"] : ["wrong", unknown, ...noInitToken(initToken)];
  }
  if (found instanceof Failure) return ["wrong", found.message];
  if (found === undefined) {
    return ["unknown", server.state === "wrong" ? "the server could not tell" : "not asked"];
  }
  if (found.usesLeft !== undefined) {
    const left = found.usesLeft > 0 ? `it has ${found.usesLeft} requests left` : "it is used up";
    return ["wrong", `${left}: ${requestLimitAdvice}`];
  }
  if (dueAt === undefined || clocks.server < dueAt) {
    return found.isBatch ? ["ok", "it is a batch token, which can't be renewed"] : ["ok"];
  }
  return found.renewable
    ? ["due", "less than a third of its lifetime is left"]
    : ["wrong", "it can't be renewed, and less than a third of its lifetime is left"];
}

function noInitToken(initToken: HeldTokens["initToken"]): string[] {
  if (initToken instanceof Failure) return [initToken.message];
  return ["there is no init token either: an admin has to put one there"];
}

/** When a token expires and when it is due; never for a token without an end. */
function timesOf(token: TokenInfo, now: Date) {
  const dueSeconds = tokenDueSeconds(token);
  if (dueSeconds === undefined) return { expiresAt: undefined, dueAt: undefined };
  const after = (seconds: number) => new Date(now.getTime() + seconds * 1000);
  return { expiresAt: after(token.ttlSeconds), dueAt: after(dueSeconds) };
}
