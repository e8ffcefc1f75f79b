import { expect, test } from "bun:test";
import { runHook } from "../../lib/tasks/run-hook.ts";

test("runHook() starts no hook if the run ends at the very moment", async () => {
  const stop = new AbortController();
  const lines: string[] = [];
  const command = ["/bin/sh", "-c", "echo it runs; exec sleep 5"] as const;
  const call = { command, timeoutSeconds: 5, env: {} };
  const outcome = runHook(call, { signal: stop.signal, onLine: (line) => lines.push(line) });
  stop.abort();
  expect([await outcome, lines]).toEqual([{ failure: "the run ended before the hook did" }, []]);
});
