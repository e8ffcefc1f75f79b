import { afterAll, describe, expect, test } from "bun:test";
import { createHost, expectRefusal, forEachJob, type Job, jobs, type Refusal } from "./host.ts";
import { type Answer, createScriptedVault } from "./scripted-vault.ts";

// Wrong statuses and bodies from a server, or from something in front of it.

const vault = await createScriptedVault();
afterAll(() => vault[Symbol.dispose]());

/** The expected outcome: the run's exit code, and how often the request was sent. */
interface Verdict {
  readonly code: Refusal["code"];
  readonly sent: 1 | 3;
  /** Set if it differs: a request that makes a token is not repeated if it may have succeeded. */
  readonly sentByExchange?: 1 | 2;
  /** Includes a request for the existing sign paths after this one is refused. */
  readonly sentByIssue?: 2;
}

const again: Verdict = { code: 75, sent: 3 };
const unsure: Verdict = { code: 75, sent: 3, sentByExchange: 1 };
const badData: Verdict = { code: 65, sent: 1 };
const noUse: Verdict = { code: 69, sent: 1 };
const refused: Verdict = { code: 77, sent: 1, sentByIssue: 2 };
const setUpWrongly: Verdict = { code: 78, sent: 1 };

type Case = readonly [name: string, answer: Answer, verdict: Verdict, sentence: RegExp, hint?: RegExp];

function errors(status: number, ...words: string[]): Answer {
  return () => Response.json({ errors: words }, { status });
}

function page(status: number): Answer {
  const headers = { "Content-Type": "text/html" };
  return () => new Response("<html><h1>Bad Gateway</h1></html>", { status, headers });
}

function body(text: string): Answer {
  return () => new Response(text, { headers: { "Content-Type": "application/json" } });
}

function empty(status: number): Answer {
  return () => new Response(null, { status });
}

function redirect(location?: string): Answer {
  return () => new Response(null, { status: 307, headers: location === undefined ? {} : { location } });
}

function busy(retryAfter: string): Response {
  return Response.json({ errors: [] }, { status: 429, headers: { "Retry-After": retryAfter } });
}

function run(cases: readonly Case[]): void {
  test.each(cases.map((it) => [it[0], it] as const))("%s", async (_, [, answer, verdict, sentence, hint]) => {
    const { code, sent, sentByExchange = sent, sentByIssue = sent } = verdict;
    const requests: Readonly<Record<Job["name"], number>> = {
      renewal: sent,
      exchange: sentByExchange,
      issue: sentByIssue,
    };
    await forEachJob(async (job) => {
      await using server = vault.start(job, answer);
      using host = createHost(job, vault.issuedHost);
      expectRefusal(await host.run(server.address), { code, sentence, hint });
      expect(server.seen.length - job.before).toBe(requests[job.name]);
    });
  });
}

describe.concurrent("a server in trouble is asked three times at most, and may be tried later", () => {
  run([
    ["429", errors(429, "rate limit"), again, /HTTP 429, rate limit$/, /limits the rate/],
    ["429 with a page", page(429), again, /HTTP 429 came with an HTML page$/, /check VAULT_ADDR/],
    ["500", errors(500, "1 error:\n\t* disk full\n"), unsure, /HTTP 500, 1 error: \* disk full$/],
    ["500, no leader", errors(500, "local node not active"), again, /HTTP 500, local node/, /no leader/],
    ["502 with a page", page(502), unsure, /HTTP 502 came with an HTML page$/, /and any proxy on the way/],
    ["503", errors(503), unsure, /HTTP 503$/],
    ["503, sealed", errors(503, "Vault is sealed"), again, /HTTP 503, Vault is sealed$/, /has to unseal/],
    ["504 without a body", empty(504), unsure, /HTTP 504$/],
  ]);
});

// An exchange is tried again without the host's name, since that may be the reason for the refusal.
const once = { sent: 1, sentByExchange: 2 } as const;

describe.concurrent("a server that says no is asked once", () => {
  const notGranted = "1 error occurred:\n\t* permission denied\n\n";
  run([
    ["400", errors(400, "missing client token"), { ...badData, ...once }, /HTTP 400, missing client token$/],
    ["403", errors(403, notGranted), { ...refused, ...once }, /permission denied/, /needs a policy/],
    [
      "403 with a page",
      page(403),
      { ...noUse, ...once },
      /HTTP 403 came with an HTML page$/,
      /other than Vault/,
    ],
    ["404", errors(404), noUse, /HTTP 404$/],
    [
      "404, not mounted",
      errors(404, "no handler for route"),
      setUpWrongly,
      /no handler/,
      /nothing is mounted/,
    ],
    ["405", errors(405, "unsupported operation"), noUse, /HTTP 405, unsupported operation$/],
    ["501", errors(501, "not implemented"), noUse, /HTTP 501, not implemented$/],
    ["511 with a page", page(511), noUse, /HTTP 511 came with an HTML page$/, /other than Vault/],
  ]);
});

describe.concurrent("an answer that Vault would not give is refused", () => {
  const emptyFields = '{"auth": {"client_token": ""}, "data": {"certificate": "", "issuing_ca": ""}}';
  const wrongFields = '{"auth": {"client_token": 1}, "data": {"certificate": {}, "issuing_ca": []}}';
  run([
    ["a page", page(200), noUse, /HTTP 200 came with an HTML page$/, /other than Vault/],
    ["JSON cut off", body('{"auth": {"clie'), noUse, /a body that is not JSON$/, /other than Vault/],
    ["nothing", body(""), noUse, /is not a JSON object$/, /neither Vault nor OpenBao answers like this/],
    ["no content", empty(204), noUse, /is not a JSON object$/, /check VAULT_ADDR/],
    ["a list", body("[]"), noUse, /is not a JSON object$/],
    ["null", body("null"), noUse, /is not a JSON object$/],
    ["another object", body('{"auth": null, "data": 1}'), noUse, /field (auth|data) is not a JSON object$/],
    ["fields of other types", body(wrongFields), noUse, /has no field \w+ that is a string$/],
    ["empty fields", body(emptyFields), noUse, /that is a non-empty string$/],
    ["a very long body", body(" ".repeat(9 * 1024 * 1024)), noUse, /longer than 8 MiB$/, /other than Vault/],
  ]);
});

describe.concurrent("a redirect", () => {
  const circle: Answer = (seen) => new Response(null, { status: 307, headers: { location: seen.path } });
  run([
    ["in a circle is given up", circle, { code: 69, sent: 3 }, /redirects for the third time/, /api_addr/],
    ["to another path is not followed", redirect("/login"), noUse, /redirects to another path/, /VAULT_ADDR/],
    [
      "to another scheme is not followed",
      redirect("ftp://127.0.0.1/"),
      noUse,
      /redirects to ftp:/,
      /VAULT_ADDR/,
    ],
    ["to nowhere is not followed", redirect(), noUse, /redirects to nowhere/, /VAULT_ADDR/],
  ]);

  test("to another node is followed, and the job succeeds", async () => {
    for (const job of jobs) {
      await using leader = vault.start(job, vault.good);
      await using standby = vault.start(job, (seen) => Response.redirect(leader.address + seen.path, 307));
      using host = createHost(job, vault.issuedHost);
      expect(await host.run(standby.address)).toMatchObject({ code: 0, stderr: job.says });
      expect(standby.seen).toHaveLength(job.before + 1);
      expect(leader.seen.map(({ path }) => path)).toEqual([job.about, ...job.after].map((it) => `/v1/${it}`));
    }
  });
});

describe("a wait that the server asks for", () => {
  const inSeconds = (seconds: number) => String(seconds);
  const asDate = (seconds: number) => new Date(Date.now() + seconds * 1000).toUTCString();
  const forms = [
    ["in seconds", inSeconds],
    ["as a date", asDate],
  ] as const;

  test.each([...forms])("%s is kept, and then the job succeeds", async (_, form) => {
    await forEachJob(async (job) => {
      const times: number[] = [];
      await using server = vault.start(job, (seen, number) => {
        times.push(performance.now());
        // A date is in whole seconds, so the wait may be one second shorter.
        return number === 1 ? busy(form(2)) : vault.good(seen, number);
      });
      using host = createHost(job, vault.issuedHost);
      expect((await host.run(server.address)).code).toBe(0);
      expect(times).toHaveLength(2);
      const [first = 0, second = 0] = times;
      expect(second - first).toBeGreaterThan(990);
    });
  });

  test.each([...forms])("%s beyond the run's time limit ends the run at once", async (_, form) => {
    await forEachJob(async (job) => {
      await using server = vault.start(job, () => busy(form(3600)));
      using host = createHost(job, vault.issuedHost);
      const outcome = await host.run(server.address, { timeoutSeconds: 3 });
      expectRefusal(outcome, { code: 75, sentence: /HTTP 429$/, hint: /limits the rate/ });
      expect(outcome.stderr).not.toContain("trying again");
      expect(server.seen).toHaveLength(job.before + 1);
    });
  });
});
