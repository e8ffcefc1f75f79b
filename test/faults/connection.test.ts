import { afterAll, describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { startRaw } from "../support/scripted.ts";
import { createHost, exchange, expectRefusal, forEachJob, type Job, jobs } from "./host.ts";
import { createScriptedVault, goodLease } from "./scripted-vault.ts";

// Connections that open and then deliver less than an answer.

const vault = await createScriptedVault();
afterAll(() => vault[Symbol.dispose]());

const lease = JSON.stringify(goodLease);
const head = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${lease.length}\r\n\r\n`;

type Answer = (socket: Socket) => void;

/** A server that gives this answer to a job's main request, and right answers before it. */
function start({ before }: Job, answer: Answer) {
  return startRaw({
    onRequest: (socket, number) => (number <= before ? socket.write(head + lease) : answer(socket)),
  });
}

/** One byte each second, as long as the connection is open. */
function drip(socket: Socket, text: string): void {
  let sent = 0;
  const timer = setInterval(() => socket.write(text.charAt(sent++) || " "), 1000);
  socket.on("close", () => clearInterval(timer));
}

const stalls: ReadonlyArray<readonly [name: string, answer: Answer]> = [
  ["never answers", () => {}],
  ["stops in the middle of the head", (socket) => socket.write(head.slice(0, 30))],
  ["stops in the middle of the body", (socket) => socket.write(head + lease.slice(0, 30))],
  ["sends one byte of its head each second", (socket) => drip(socket, head)],
  [
    "sends one byte of its body each second",
    (socket) => {
      socket.write(head);
      drip(socket, lease);
    },
  ],
];

describe.concurrent("a server that", () => {
  test.each([...stalls])("%s is given up when the run's time is over", async (_, answer) => {
    await forEachJob(async (job) => {
      await using server = await start(job, answer);
      using host = createHost(job, vault.issuedHost);
      const outcome = await host.run(server.address, { timeoutSeconds: 4 });
      const sentence = /had not answered when the run ended \(the time limit of 4 s is over\)$/;
      expectRefusal(outcome, { code: 75, sentence });
      expect(server.requests).toBe(job.before + 1);
    });
  });
});

/** Expects each job to give up. A request that makes a token is sent once, any other three times. */
async function giveUp(answer: Answer, sentence: RegExp, env: Readonly<Record<string, string>> = {}) {
  await forEachJob(async (job) => {
    await using server = await start(job, answer);
    using host = createHost(job, vault.issuedHost);
    const outcome = await host.run(server.address, { env });
    expectRefusal(outcome, { code: 75, sentence });
    expect(server.requests - job.before).toBe(job === exchange ? 1 : 3);
  });
}

// One after the other, since many at once would not all be served within the short limit.
describe("a server that", () => {
  test.each(stalls.filter(([name]) => name.includes("in the middle")))(
    "%s is asked again where the limit of one try is shorter",
    (_, answer) => giveUp(answer, /did not answer within 1 s$/, { VAULT_CLIENT_TIMEOUT: "1s" }),
  );
});

describe.concurrent("a server that", () => {
  test.each<[string, Answer]>([
    ["closes without an answer", (socket) => socket.end()],
    ["resets the connection", (socket) => socket.resetAndDestroy()],
    ["closes in the middle of the head", (socket) => socket.end(head.slice(0, 30))],
    ["closes in the middle of the body", (socket) => socket.end(head + lease.slice(0, 30))],
    ["speaks another protocol", (socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n")],
  ])("%s is asked again, except for a token", (_, answer) => giveUp(answer, /broke off the connection/));

  test("does not run may be tried later", async () => {
    const gone = await startRaw({});
    await gone[Symbol.asyncDispose]();
    for (const job of jobs) {
      using host = createHost(job, vault.issuedHost);
      const refusal = {
        code: 75,
        sentence: /refuses the connection/,
        hint: /that the server is running/,
      } as const;
      expectRefusal(await host.run(gone.address), refusal);
    }
  });
});
