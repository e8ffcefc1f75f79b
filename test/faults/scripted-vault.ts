import { type ScriptedServer, type Seen, startScripted } from "../support/scripted.ts";
import { type Authority, createAuthority } from "./authority.ts";
import { createHost, type Host, hostToken, issue, type Job, signPath } from "./host.ts";

/** A scripted answer. The number counts requests from one. */
export type Answer = (seen: Seen, number: number) => Response | Promise<Response>;

/** A scripted server, and a host that has a certificate from it. */
export interface ScriptedVault extends Disposable {
  readonly authority: Authority;
  readonly issuedHost: Host;
  /** The right answer. */
  readonly good: Answer;
  /** Starts it. A job's main request gets this answer, and requests before it the right ones. */
  start(job: Job, answer: Answer): ScriptedServer;
}

/** @param aheadMs how far its clock is ahead of this machine's */
export async function createScriptedVault(aheadMs = 0): Promise<ScriptedVault> {
  const authority = createAuthority("demo CA");
  const good: Answer = (seen) => {
    const now = new Date(Date.now() + aheadMs);
    const answer = goodAnswer(seen, authority, now);
    answer.headers.set("Date", now.toUTCString());
    return answer;
  };
  const issuedHost = createHost(issue);
  await using server = startScripted(good);
  const { code, stderr } = await issuedHost.run(server.address);
  if (code !== 0) throw new Error(stderr);
  return {
    authority,
    issuedHost,
    good,
    start: ({ about, before }, answer) =>
      startScripted((seen, number) =>
        seen.path === `/v1/${about}` ? answer(seen, number - before) : good(seen, number),
      ),
    [Symbol.dispose]() {
      issuedHost[Symbol.dispose]();
      authority[Symbol.dispose]();
    },
  };
}

function goodAnswer(seen: Seen, authority: Authority, now: Date): Response {
  switch (seen.path) {
    case "/v1/auth/token/renew-self":
    case "/v1/auth/token/create/demo-worker":
      return Response.json(goodLease);
    case "/v1/sys/seal-status":
      return Response.json({ sealed: false });
    case `/v1/${signPath}`:
      return signed({ certificate: authority.sign(csrOf(seen), { now }), issuing_ca: authority.pem });
    case "/v1/demo/pki/k8s/issuers?list=true":
      // It has no such list, so nothing of its CA is known but the answer of its sign path.
      return Response.json({ errors: ["no handler for route"] }, { status: 404 });
    default:
      return Response.json({ errors: [] }, { status: 404 });
  }
}

export const goodLease = {
  auth: {
    client_token: hostToken,
    accessor: "accessor-of-a-host",
    lease_duration: 157_680_000,
    renewable: true,
    policies: ["default", "demo/worker"],
  },
};

export function signed(data: object): Response {
  return Response.json({ data });
}

/** The CSR in a request to the sign path. */
export function csrOf(seen: Seen): string {
  return String(JSON.parse(seen.body).csr);
}
