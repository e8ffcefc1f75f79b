import { describe, expect, test } from "bun:test";
import { defineCluster, type HostRole } from "../../lib/cluster/cluster.ts";
import { failureOf } from "../support/failure.ts";

describe("defineCluster()", () => {
  test.each(["a", "demo", "Demo", "k8s-2", "a-", "a--b", "a1", `a${"b".repeat(62)}`])(
    "takes the id %s",
    (id) => {
      expect(defineCluster(id)).toEqual({
        id,
        caValiditySeconds: 630_720_000,
        adminValiditySeconds: 31_536_000,
        componentValiditySeconds: 2_592_000,
        initTokens: {},
        rotatedInitTokens: [],
        caKey: undefined,
        key: { type: "any", bits: 0 },
        kubeletDomains: [],
        kubeletIpSans: false,
        pkiRoles: [],
        policyRules: [],
        chosen: {},
      });
    },
  );

  test.each([
    ...["", " ", "1a", "-a", "a_b", "a/b", "/a", "a/", "..", ".", "a.b", "a b", "dEmo", "DEMO", "démo", "ａ"],
    ...["a\n", "a\u0000", "a%2fb", "a?b", "a*", "a+", `a${"b".repeat(63)}`],
  ])("refuses the id %j", async (id) => {
    const { kind, message } = await failureOf(() => defineCluster(id));
    expect({ kind, message }).toEqual({
      kind: "usage",
      message: `${JSON.stringify(id)} is not a cluster id`,
    });
  });

  test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])(
    "refuses a validity of %p seconds",
    async (seconds) => {
      for (const name of ["caValiditySeconds", "adminValiditySeconds", "componentValiditySeconds"]) {
        const failure = await failureOf(() => defineCluster("a", { [name]: seconds }));
        expect(failure.kind).toBe("usage");
      }
    },
  );

  test.each(["e", "0", "a-b_c", "~!@#", "x".repeat(128), "hvs", "stoken"])(
    "takes the init token %s",
    (id) => {
      expect(defineCluster("a", { initTokens: { etcd: id } }).initTokens).toEqual({ etcd: id });
    },
  );

  test.each([
    "",
    " ",
    "a b",
    "a\n",
    "\u0000",
    "é",
    "x".repeat(129),
    "hvs.x",
    "hvb.x",
    "hvr.x",
    "s.x",
    "b.x",
    "r.x",
  ])("refuses the init token %j without printing it", async (id) => {
    const { kind, message, hint } = await failureOf(() => defineCluster("a", { initTokens: { master: id } }));
    expect({ kind, message }).toEqual({
      kind: "usage",
      message: "--init-token-master can't be the id of a token",
    });
    if (id.length > 100) expect(hint).not.toContain(id);
  });

  test.each<[HostRole, HostRole]>([
    ["etcd", "all"],
    ["master", "worker"],
  ])("refuses one init token for both %s and %s", async (one, other) => {
    const failure = await failureOf(() =>
      defineCluster("a", { initTokens: { [one]: "same-id", [other]: "same-id" } }),
    );
    expect(failure.kind).toBe("usage");
    expect(failure.message).toBe(`--init-token-${one} and --init-token-${other} are the same id`);
  });
});
