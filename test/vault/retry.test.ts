import { describe, expect, test } from "bun:test";
import { VaultError, type VaultErrorOptions } from "../../lib/vault/error.ts";
import { parseRetryAfter, type RetryOptions, retry } from "../../lib/vault/retry.ts";

const passing = { transient: true, untouched: true };

function fault(options: VaultErrorOptions = passing): VaultError {
  return new VaultError("temporary", { method: "GET", path: "sys/mounts" }, "fails", options);
}

/** Runs retry() on an attempt that fails each time, or this many times. Returns how often it was called. */
async function run(error: unknown, options: Partial<RetryOptions> & { failures?: number } = {}) {
  const { failures = Number.POSITIVE_INFINITY, ...rest } = options;
  const waits: number[] = [];
  let calls = 0;
  const outcome = await retry(
    async () => {
      if (calls++ < failures) throw error;
      return "done";
    },
    {
      maxRetries: 3,
      repeatable: true,
      signal: new AbortController().signal,
      baseMs: 4,
      onRetry: (_error, waitMs) => waits.push(waitMs),
      ...rest,
    },
  ).catch((thrown: unknown) => thrown);
  return { outcome, calls, waits };
}

describe("retry()", () => {
  test("returns the result of the first success", async () => {
    expect(await run(fault(), { failures: 2 })).toMatchObject({ outcome: "done", calls: 3 });
  });

  test("calls once if nothing fails", async () => {
    expect(await run(fault(), { failures: 0 })).toEqual({ outcome: "done", calls: 1, waits: [] });
  });

  test("gives up after maxRetries with the last error", async () => {
    const error = fault();
    const { outcome, calls, waits } = await run(error);
    expect(outcome).toBe(error);
    expect(calls).toBe(4);
    expect(waits).toHaveLength(3);
  });

  test("does not begin a wait that is longer than the time left", async () => {
    const error = fault({ ...passing, retryAfterMs: 60_000 });
    expect(await run(error, { timeLeftMs: () => 59_000 })).toEqual({ outcome: error, calls: 1, waits: [] });
  });

  test("calls once with maxRetries 0", async () => {
    expect(await run(fault(), { maxRetries: 0 })).toMatchObject({ calls: 1, waits: [] });
  });

  test.each([
    ["a temporary failure of a repeatable request", { transient: true }, true, true],
    ["a temporary failure of another request that did not arrive", passing, false, true],
    ["a temporary failure of another request that may have arrived", { transient: true }, false, false],
    ["a lasting failure of a repeatable request", {}, true, false],
    ["a lasting failure of a request that did not arrive", { untouched: true }, true, false],
  ])("knows whether to repeat after %s", async (_what, error, repeatable, again) => {
    const { calls } = await run(fault(error), { repeatable });
    expect(calls).toBe(again ? 4 : 1);
  });

  test("throws any other error than a VaultError at once", async () => {
    const error = new TypeError("a fault of ours");
    expect(await run(error)).toMatchObject({ outcome: error, calls: 1 });
  });

  test("doubles the limit of its waits up to capMs", async () => {
    const { waits } = await run(fault(), { random: () => 1, baseMs: 2, capMs: 9, maxRetries: 5 });
    expect(waits).toEqual([2, 4, 8, 9, 9]);
  });

  test("chooses each wait between zero and the limit", async () => {
    const draws = [0, 0.25, 0.999];
    const { waits } = await run(fault(), { random: () => draws.shift() ?? 1, baseMs: 4 });
    expect(waits).toEqual([0, 2, 0.999 * 16]);
  });

  test("waits as long as it reports", async () => {
    const start = performance.now();
    const { waits } = await run(fault(), { random: () => 1, baseMs: 60, maxRetries: 1 });
    expect(waits).toEqual([60]);
    expect(performance.now() - start).toBeGreaterThanOrEqual(58);
  });

  test("waits at least as long as the server asks", async () => {
    const { waits } = await run(fault({ ...passing, retryAfterMs: 30 }), { random: () => 0, maxRetries: 2 });
    expect(waits).toEqual([30, 30]);
  });

  test("waits longer than the server asks if its own choice is longer", async () => {
    const { waits } = await run(fault({ ...passing, retryAfterMs: 1 }), { random: () => 1, maxRetries: 1 });
    expect(waits).toEqual([4]);
  });

  test("does not return at once if the server asks for a longer wait than a timer supports", async () => {
    const signal = AbortSignal.timeout(100);
    const { calls } = await run(fault({ ...passing, retryAfterMs: 2 ** 31 }), { signal });
    expect(calls).toBe(1);
  });

  test("ends its wait with the last error when the signal comes", async () => {
    const error = fault({ ...passing, retryAfterMs: 3_600_000 });
    const { outcome, calls } = await run(error, { signal: AbortSignal.timeout(20) });
    expect(outcome).toBe(error);
    expect(calls).toBe(1);
  });

  test("ends its wait with the failure when the signal comes as the wait is reported", async () => {
    const controller = new AbortController();
    const onRetry = () => controller.abort();
    const error = fault({ ...passing, retryAfterMs: 3_600_000 });
    const { outcome, calls } = await run(error, { signal: controller.signal, onRetry });
    expect({ outcome, calls }).toEqual({ outcome: error, calls: 1 });
  });

  test("does not wait if the signal came before", async () => {
    expect(await run(fault(), { signal: AbortSignal.abort() })).toMatchObject({ calls: 1, waits: [] });
  });
});

describe("parseRetryAfter()", () => {
  const now = Date.parse("2025-03-01T12:00:00Z");

  test.each([
    ["120", 120_000],
    ["0", 0],
    [" 5 ", 5_000],
    ["Sat, 01 Mar 2025 12:00:07 GMT", 7_000],
    ["Sat, 01 Mar 2025 11:59:00 GMT", 0],
  ])("reads %j", (header, milliseconds) => {
    expect(parseRetryAfter(header, now)).toBe(milliseconds);
  });

  test.each([[null], [""], ["soon"], ["-1"], ["1.5"], ["5s"], ["99999999999"]])(
    "gives nothing for %j",
    (header) => {
      expect(parseRetryAfter(header, now)).toBeUndefined();
    },
  );

  test("counts a date from now", () => {
    const before = Date.now();
    const at = Math.floor(before / 1000) * 1000 + 3_600_000;
    const waitMs = parseRetryAfter(new Date(at).toUTCString());
    expect(waitMs).toBeWithin(at - Date.now(), at - before + 1);
  });
});
