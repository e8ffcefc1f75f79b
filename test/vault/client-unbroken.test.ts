import { describe, expect, test } from "bun:test";
import { createVaultClient } from "../../lib/vault/client.ts";
import { disableMount } from "../../lib/vault/unmount.ts";
import { failureOf } from "../support/failure.ts";
import { startScripted } from "../support/scripted.ts";

describe("client.request() that must not be broken off", () => {
  test("goes on after its time limit and after the end of the run", async () => {
    const run = new AbortController();
    const asked: string[] = [];
    await using server = startScripted(async ({ path }) => {
      asked.push(path);
      run.abort(new Error("stopped"));
      await Bun.sleep(300);
      return new Response(null, { status: 204 });
    });
    const { address } = server;
    const client = createVaultClient({ address, requestTimeoutMs: 50, signal: run.signal, maxRetries: 0 });
    await disableMount(client, "a");
    // A request that is not under way yet is not begun.
    await failureOf(() => disableMount(client, "b"));
    expect(asked).toHaveLength(1);
  });

  test("is sent only once", async () => {
    await using server = startScripted(() => new Response("<html>", { status: 502 }));
    const client = createVaultClient({ address: server.address, maxRetries: 5 });
    await failureOf(() => disableMount(client, "a"));
    expect(server.seen).toHaveLength(1);
  });
});
