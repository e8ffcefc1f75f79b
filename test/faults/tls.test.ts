import { afterAll, describe, expect, test } from "bun:test";
import { openssl } from "../support/openssl.ts";
import { startRaw, startScripted } from "../support/scripted.ts";
import { createAuthority, newCsr, type Terms } from "./authority.ts";
import { createHost, expectRefusal, forEachJob, jobs } from "./host.ts";
import { createScriptedVault } from "./scripted-vault.ts";

// Servers that can't be trusted. Nothing is sent to them, above all no token.

const vault = await createScriptedVault();
const trusted = createAuthority("trusted CA");
const foreign = createAuthority("foreign CA");
afterAll(() => {
  for (const it of [vault, trusted, foreign]) it[Symbol.dispose]();
});

interface Identity {
  readonly key: string;
  readonly cert: string;
}

function identity(authority = trusted, name = "IP:127.0.0.1", terms: Terms = {}): Identity {
  const { key, csr } = newCsr("vault", name);
  return { key, cert: authority.sign(csr, terms) };
}

function selfSigned(): Identity {
  const { key } = newCsr("vault");
  const names = ["-addext", "subjectAltName=IP:127.0.0.1"];
  return { key, cert: openssl(["req", "-x509", "-key", "/dev/stdin", "-subj", "/CN=vault", ...names], key) };
}

const env = { VAULT_CACERT: trusted.file };
const dayMs = 86_400_000;
const [yesterday, tomorrow] = [new Date(Date.now() - dayMs), new Date(Date.now() + dayMs)];
const [dayBefore, dayAfter] = [new Date(Date.now() - 2 * dayMs), new Date(Date.now() + 2 * dayMs)];

type Case = readonly [name: string, identity: Identity, sentence: RegExp, hint: RegExp];

const cases: readonly Case[] = [
  [
    "has expired",
    identity(trusted, undefined, { from: dayBefore, until: yesterday }),
    /has expired/,
    /clock/,
  ],
  [
    "is not valid yet",
    identity(trusted, undefined, { from: tomorrow, until: dayAfter }),
    /not valid yet/,
    /clock/,
  ],
  [
    "has a certificate of a foreign CA",
    identity(foreign),
    /no trusted CA has signed.*"CN=foreign CA"/,
    /add the CA .* to VAULT_CACERT/,
  ],
  ["is self-signed", selfSigned(), /no trusted CA has signed.*"CN=vault"/, /add the CA .* to VAULT_CACERT/],
  ["is for another name", identity(trusted, "DNS:localhost"), /for another name/, /VAULT_TLS_SERVER_NAME/],
];

describe.concurrent("a server whose certificate", () => {
  test.each([...cases])("%s gets no request", async (_, tls, sentence, hint) => {
    await using server = startScripted(vault.good, tls);
    for (const job of jobs) {
      using host = createHost(job, vault.issuedHost);
      expectRefusal(await host.run(server.address, { env }), { code: 69, sentence, hint });
    }
    expect(server.seen).toEqual([]);
  });

  test("is trusted gets the request", async () => {
    await using server = startScripted(vault.good, identity());
    for (const job of jobs) {
      using host = createHost(job, vault.issuedHost);
      expect(await host.run(server.address, { env })).toMatchObject({ code: 0, stderr: job.says });
    }
    expect(server.seen).toHaveLength(
      jobs.reduce((sum, { before, after }) => sum + before + 1 + after.length, 0),
    );
  });
});

test("a server without TLS on its port gets no request", async () => {
  await using server = startScripted(vault.good);
  for (const job of jobs) {
    using host = createHost(job, vault.issuedHost);
    const outcome = await host.run(server.address.replace("http:", "https:"), { env });
    expectRefusal(outcome, {
      code: 69,
      sentence: /breaks off the TLS handshake/,
      hint: /use TLS on this port/,
    });
  }
  expect(server.seen).toEqual([]);
});

test("a TLS handshake that is never answered ends with the run's time", async () => {
  await using server = await startRaw({});
  await forEachJob(async (job) => {
    using host = createHost(job, vault.issuedHost);
    const address = server.address.replace("http:", "https:");
    const outcome = await host.run(address, { env, timeoutSeconds: 2 });
    expectRefusal(outcome, { code: 75, sentence: /had not answered when the run ended/ });
  });
});

test("a redirect from TLS to plain HTTP is refused, and the token is not sent", async () => {
  await using plain = startScripted(vault.good);
  await using server = startScripted((seen) => Response.redirect(plain.address + seen.path, 307), identity());
  for (const job of jobs) {
    using host = createHost(job, vault.issuedHost);
    const outcome = await host.run(server.address, { env });
    expectRefusal(outcome, { code: 69, sentence: /redirects to http:/, hint: /check VAULT_ADDR/ });
  }
  expect(plain.seen).toEqual([]);
});
