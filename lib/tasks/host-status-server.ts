import { Failure } from "../failure.ts";
import type { Finding } from "../finding.ts";
import { caReader, readServerCas, type ServerCas } from "../renewal/server-ca.ts";
import type { CaQuestion } from "../renewal/status.ts";
import { BundleTooLong } from "../renewal/trust-bundle.ts";
import type { VaultClient } from "../vault/client.ts";
import { type Clocks, clockNote, learnServerTime, readClocks } from "../vault/clocks.ts";
import { VaultError } from "../vault/error.ts";
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
  /** The server's CAs by each destination. */
  readonly cas: ReadonlyMap<string, ServerCas | Failure>;
}

const notAsked: Finding = { state: "unknown", reasons: ["not asked"] };

/**
 * Asks the server about the token and about each mount's CAs, one after the other, so that the requests share a
 * connection. It only reads, and renews nothing. Once the server is away, it asks nothing more.
 *
 * @param connect undefined asks no server
 */
export async function askServer(
  connect: (() => VaultClient) | undefined,
  token: string | undefined,
  questions: readonly CaQuestion[],
): Promise<Answers> {
  const cas = new Map<string, ServerCas | Failure>();
  if (connect === undefined) {
    const clock = { ...notAsked, aheadSeconds: undefined };
    const server = { ...notAsked, address: undefined };
    return { server, clock, clocks: readClocks(), token: undefined, cas };
  }
  let client: VaultClient | undefined;
  let found: Answers["token"];
  let away: Failure | undefined;
  try {
    const asked = connect();
    client = asked;
    if (token !== undefined) found = await readToken(asked, token);
    const reader = caReader(asked);
    for (const { destination, request, known } of questions) {
      cas.set(destination, await answerOf(() => readServerCas(reader, request, known)));
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
    cas,
  };
}

/** A refusal is an answer. A server that is away throws: it will be away for the next request as well. */
async function answerOf<T>(ask: () => Promise<T>): Promise<T | Failure> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof BundleTooLong || (error instanceof VaultError && !isAway(error))) return error;
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
