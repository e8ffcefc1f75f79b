import { Failure } from "../failure.ts";
import type { Finding } from "../finding.ts";
import { readServerCa, type ServerCa } from "../renewal/server-ca.ts";
import type { VaultClient } from "../vault/client.ts";
import { type Clocks, clockNote, learnServerTime, readClocks } from "../vault/clocks.ts";
import { VaultError } from "../vault/error.ts";
import { readIssuerChain } from "../vault/issuers.ts";
import { lookupSelf, type TokenInfo } from "../vault/token.ts";
import { isUnknownToken } from "../vault/unknown-token.ts";

export interface ServerStatus extends Finding {
  /** Undefined if it was not asked. */
  readonly address: string | undefined;
}

export interface ClockStatus extends Finding {
  /** How far the server's clock is ahead of this host's, in whole seconds; undefined if it did not answer. */
  readonly aheadSeconds: number | undefined;
}

/** The server's answers; undefined for each that was not asked for or did not come. */
export interface Answers {
  readonly server: ServerStatus;
  readonly clock: ClockStatus;
  readonly clocks: Clocks;
  readonly token: TokenInfo | "unknown" | Failure | undefined;
  /** The CA by each issuer's path. */
  readonly issuers: ReadonlyMap<string, ServerCa | Failure>;
}

const notAsked: Finding = { state: "unknown", reasons: ["not asked"] };

/**
 * Asks the server about the token and about each CA: one request each, one after the other, so that they share a
 * connection. It only reads, and renews nothing. Once the server is away, it asks nothing more.
 *
 * @param connect undefined asks no server
 */
export async function askServer(
  connect: (() => VaultClient) | undefined,
  token: string | undefined,
  issuerPaths: readonly string[],
): Promise<Answers> {
  const issuers = new Map<string, ServerCa | Failure>();
  if (connect === undefined) {
    const clock = { ...notAsked, aheadSeconds: undefined };
    const server = { ...notAsked, address: undefined };
    return { server, clock, clocks: readClocks(), token: undefined, issuers };
  }
  let client: VaultClient | undefined;
  let found: Answers["token"];
  let away: Failure | undefined;
  try {
    const asked = connect();
    client = asked;
    if (token !== undefined) found = await readToken(asked, token);
    for (const path of issuerPaths) {
      issuers.set(path, await answerOf(() => readServerCa(() => readIssuerChain(asked, path))));
    }
    await learnServerTime(asked);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    away = error;
  }
  return {
    server: serverStatus(client?.address, away),
    clock: client === undefined ? { ...notAsked, aheadSeconds: undefined } : clockStatus(client),
    clocks: readClocks(client),
    token: found,
    issuers,
  };
}

/** A refusal is an answer. A server that is away throws: it will be away for the next request as well. */
async function answerOf<T>(ask: () => Promise<T>): Promise<T | Failure> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof VaultError && !isAway(error)) return error;
    throw error;
  }
}

function isAway({ serverErrors, kind }: VaultError): boolean {
  return serverErrors === undefined || kind === "temporary";
}

/** "unknown" if the server does not know it. */
async function readToken(client: VaultClient, token: string): Promise<Answers["token"]> {
  const found = await answerOf(() => lookupSelf(client, token));
  return (await isUnknownToken(client, token, found)) ? "unknown" : found;
}

function serverStatus(address: string | undefined, away: Failure | undefined): ServerStatus {
  if (away === undefined) return { address, state: "ok", reasons: [] };
  const hint = away.hint === undefined ? [] : [away.hint];
  return { address, state: "wrong", reasons: [away.message, ...hint] };
}

function clockStatus(client: VaultClient): ClockStatus {
  const aheadMs = client.clockAheadMs();
  if (aheadMs === undefined) return { ...notAsked, aheadSeconds: undefined };
  const note = clockNote(client);
  const aheadSeconds = Math.round(aheadMs / 1000);
  return note === undefined
    ? { aheadSeconds, state: "ok", reasons: [] }
    : { aheadSeconds, state: "wrong", reasons: [note, "have a time service set it"] };
}
