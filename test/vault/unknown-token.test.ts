import { afterEach, beforeEach, describe, expect, mock, spyOn, test } from "bun:test";
import type { FailureKind } from "../../lib/failure.ts";
import { createVaultClient } from "../../lib/vault/client.ts";
import { renewSelf } from "../../lib/vault/token.ts";
import { isUnknownToken } from "../../lib/vault/unknown-token.ts";
import { answer, recorded, type Said } from "../support/recorded.ts";
import { startScripted } from "../support/scripted.ts";
import { vaultErrorOf } from "../support/vault.ts";

// No waits between attempts.
beforeEach(() => spyOn(Math, "random").mockReturnValue(0));
afterEach(() => mock.restore());

const token = "a-host's";
const unknown = recorded["a renewal with an unknown token"];
const bound = recorded["a renewal with a token bound to other addresses"];
const mountsUnknown = recorded["any look at the mounts with an unknown token"];
const mountsBound = recorded["any look at the mounts with a token bound to other addresses"];
const notGranted = recorded["a renewal that no policy grants"];
const sealed = recorded["a read from a sealed server"];

type Play = () => Response;
const says =
  (said: Said): Play =>
  () =>
    answer(said);
const knows: Play = () => Response.json({ data: { auth: {}, secret: {} } });
const page: Play = () =>
  new Response("<html>Forbidden</html>", { status: 403, headers: { "Content-Type": "text/html" } });

/**
 * Plays a server that answers a renewal with the token, a request for the mounts with it, and the same request with a
 * random token.
 */
function play(renewal: Play, mounts: Play = knows, mountsOfNobody: Play = knows) {
  return startScripted(({ method, path, headers }) => {
    if (path === "/v1/auth/token/renew-self") return renewal();
    expect([method, path]).toEqual(["GET", "/v1/sys/internal/ui/mounts"]);
    const sent = headers.get("x-vault-token");
    expect(sent).not.toBe("the client's own");
    return sent === token ? mounts() : mountsOfNobody();
  });
}

/** Whether a refused renewal means that the token is unknown, and how many requests that took. */
async function settle(server: ReturnType<typeof play>) {
  const client = createVaultClient({ address: server.address, token: "the client's own" });
  const error = await vaultErrorOf(() => renewSelf(client, token));
  const before = server.seen.length;
  const isUnknown = await isUnknownToken(client, token, error);
  return [isUnknown, server.seen.length - before] as const;
}

describe("isUnknownToken()", () => {
  interface Case {
    readonly name: string;
    readonly server: () => ReturnType<typeof play>;
    readonly is: readonly [isUnknown: boolean, requests: number];
  }
  const cases: readonly Case[] = [
    { name: "takes Vault's word that it is", server: () => play(says(unknown.vault)), is: [true, 0] },
    { name: "takes Vault's word that it is not", server: () => play(says(notGranted.vault)), is: [false, 0] },
    {
      name: "takes OpenBao's word that it is not",
      server: () => play(says(notGranted.openbao)),
      is: [false, 0],
    },
    {
      name: "asks an OpenBao that says no more than refused, and does not know it",
      server: () => play(says(unknown.openbao), says(mountsUnknown.openbao), says(mountsUnknown.openbao)),
      is: [true, 2],
    },
    {
      name: "asks one that says no more, and knows it",
      server: () => play(says(unknown.openbao)),
      is: [false, 1],
    },
    {
      name: "tells a token that Vault knows, and takes from other addresses alone",
      server: () => play(says(bound.vault), says(mountsBound.vault), says(mountsUnknown.vault)),
      is: [false, 2],
    },
    {
      name: "takes the word of a server that says more the second time",
      server: () => play(says(unknown.openbao), says(mountsUnknown.vault)),
      is: [true, 1],
    },
    {
      name: "does not take it for unknown where the mounts may not be looked at",
      server: () => play(says(unknown.openbao), says(notGranted.openbao)),
      is: [false, 1],
    },
    {
      name: "does not take it for unknown by a server without that path",
      server: () => play(says(unknown.openbao), says({ status: 404, errors: ["unsupported path"] })),
      is: [false, 1],
    },
    { name: "does not take a proxy's refusal for the server's", server: () => play(page), is: [false, 0] },
    {
      name: "is not told by another error",
      server: () => play(says(recorded["the renewal of a root token"].vault)),
      is: [false, 0],
    },
  ];
  test.each(cases)("$name", async ({ server, is }) => {
    await using started = server();
    expect(await settle(started)).toEqual(is);
  });

  const rateLimited = { status: 429, errors: ["request path quota exceeded"] };
  const away: ReadonlyArray<readonly [string, Play, FailureKind]> = [
    ["sealed", says(sealed.openbao), "temporary"],
    ["over its rate limit", says(rateLimited), "temporary"],
    ["at fault", says({ status: 500, errors: ["internal error"] }), "temporary"],
    ["behind a proxy that refuses", page, "unavailable"],
  ];
  test.each(away)("does not judge the token while the server is %s", async (_name, play2, kind) => {
    const bare = says(mountsUnknown.openbao);
    for (const mounts of [[play2, bare] as const, [bare, play2] as const]) {
      await using server = play(says(unknown.openbao), ...mounts);
      const error = await vaultErrorOf(() => settle(server));
      expect(error.kind).toBe(kind);
      expect(error.path).toBe("sys/internal/ui/mounts");
    }
  });
});
