import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { encodePath } from "../../lib/vault/path.ts";
import { failureOf } from "../support/failure.ts";

describe("encodePath()", () => {
  test.each([
    ["sys/mounts", "sys/mounts"],
    ["demo/pki/k8s/sign/kubelet", "demo/pki/k8s/sign/kubelet"],
    ["secret/a b", "secret/a%20b"],
    ["secret/a+b&c=d;e", "secret/a%2Bb%26c%3Dd%3Be"],
    ["secret/größe", "secret/gr%C3%B6%C3%9Fe"],
    ["secret/.hidden", "secret/.hidden"],
    ["secret/...", "secret/..."],
  ])("escapes %s", (path, encoded) => {
    expect(encodePath(path)).toBe(encoded);
  });

  test.each([
    ["nothing", ""],
    ["a slash alone", "/"],
    ["a slash before", "/sys/mounts"],
    ["a slash after", "sys/mounts/"],
    ["a doubled slash", "sys//mounts"],
    ["a segment that leads up", "demo/../sys/mounts"],
    ["one that leads up at the start", "../sys"],
    ["one that leads up at the end", "demo/.."],
    ["a segment that leads nowhere", "demo/./pki"],
    ["an escaped slash", "demo%2fpki"],
    ["an escaped way up", "demo/%2e%2e/sys"],
    ["a query", "sys/mounts?list=true"],
    ["a fragment", "sys/mounts#top"],
    ["a backslash", "demo\\..\\sys"],
    ["a line feed", "sys/mounts\nX-Vault-Token: other"],
    ["a carriage return", "sys/mounts\r"],
    ["a tab", "sys/\tmounts"],
    ["a zero", "sys/mounts\0"],
    ["DEL", "sys/mounts\x7f"],
    ["a C1 control character", "sys/mounts\x85"],
    ["a character without width", "sys/mo\u200bunts"],
    ["a mark that turns the direction", "sys/\u202emounts"],
    ["half of a pair", "sys/\ud800"],
  ])("refuses %s", async (_what, path) => {
    const failure = await failureOf(() => encodePath(path));
    expect(failure.kind).toBe("usage");
    expect(failure.message).toBe(`${JSON.stringify(path)} is not a path in Vault`);
  });

  test("either keeps a path as it was written or refuses it", () => {
    const piece = fc.constantFrom(
      "/",
      ".",
      "..",
      "%",
      "%2f",
      "?",
      "#",
      "\\",
      "\n",
      "a",
      "ß",
      ":",
      "@",
      "\ud800",
    );
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(fc.oneof(piece, fc.string()), { maxLength: 8 }).map((pieces) => pieces.join("")),
    );
    fc.assert(
      fc.property(text, (path) => {
        let encoded: string;
        try {
          encoded = encodePath(path);
        } catch (error) {
          expect(error).toHaveProperty("kind", "usage");
          return;
        }
        const url = new URL(`v1/${encoded}`, "http://127.0.0.1:8200/");
        expect(url.search + url.hash).toBe("");
        expect(decodeURIComponent(url.pathname)).toBe(`/v1/${path}`);
        expect(url.pathname.split("/")).toHaveLength(path.split("/").length + 2);
      }),
      { numRuns: 2_000 },
    );
  });
});
