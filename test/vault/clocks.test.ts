import { describe, expect, test } from "bun:test";
import type { VaultClient } from "../../lib/vault/client.ts";
import { type Clocks, readClocks, untilMs } from "../../lib/vault/clocks.ts";

const day = 86_400_000;
const begin = Date.UTC(2026, 10, 1);
const at = (days: number) => new Date(begin + days * day);
const clocks = (host: number, server = host): Clocks => ({ host: at(host), server: at(server) });

test("untilMs() counts by the clock that is closer", () => {
  expect(untilMs(clocks(1, 3), at(5))).toBe(2 * day);
  expect(untilMs(clocks(3, 1), at(2))).toBe(-day);
});

describe("readClocks()", () => {
  const client = (aheadMs: number | undefined) => ({ clockAheadMs: () => aheadMs }) as VaultClient;
  const of = (aheadMs: number | undefined, host = begin) => {
    const { host: ours, server } = readClocks(client(aheadMs), host);
    return [ours.getTime() - begin, server.getTime() - begin];
  };

  test.each([
    [undefined, 0, 0],
    [59_000, 0, 0],
    [-59_000, 0, 0],
    [61_000, 0, 61_000],
    [-300_000, 0, -300_000],
  ])("with a server that is %p ms ahead gives %p and %p", (aheadMs, host, server) => {
    expect(of(aheadMs)).toEqual([host, server]);
  });

  test("takes the server's time if the host's clock was never set", () => {
    expect(of(begin, 0)).toEqual([0, 0]);
    expect(of(undefined, 0)).toEqual([-begin, -begin]);
  });
});
