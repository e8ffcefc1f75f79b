import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { decodePem, encodePem, hasSameBlocks } from "../../lib/x509/pem.ts";
import { failureOf } from "../support/failure.ts";
import { opensslEcKey } from "../support/openssl.ts";

const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 });

describe("encodePem()", () => {
  test("writes lines of at most 64 characters that decodePem() reads back", () => {
    fc.assert(
      fc.property(bytes, (der) => {
        const pem = encodePem("SOME THING", der);
        expect(pem.split("\n").every((line) => line.length <= 64)).toBe(true);
        expect(pem).toEndWith("-----END SOME THING-----\n");
        expect(decodePem(pem, "it")).toEqual([{ label: "SOME THING", der: Uint8Array.from(der) }]);
      }),
    );
  });

  test("writes the same text as openssl", () => {
    const pem = opensslEcKey("P-384");
    const [block] = decodePem(pem, "it");
    expect(encodePem(block?.label ?? "", block?.der ?? new Uint8Array())).toBe(pem);
  });
});

describe("decodePem()", () => {
  test("reads several blocks in order, and ignores text between them", () => {
    const text = `subject=CN = a\n${encodePem("A", Buffer.from("one"))}\nand\n${encodePem("B", Buffer.from("two"))}end`;
    expect(decodePem(text, "it").map(({ label, der }) => [label, Buffer.from(der).toString()])).toEqual([
      ["A", "one"],
      ["B", "two"],
    ]);
  });

  test("reads any line ends", () => {
    const pem = encodePem("A", Buffer.alloc(100, 7));
    const [block] = decodePem(pem.replaceAll("\n", "\r\n"), "it");
    expect(block?.der).toEqual(new Uint8Array(100).fill(7));
  });

  test("returns no blocks for a text without any", () => {
    expect(decodePem("", "it")).toEqual([]);
    expect(decodePem("token=abc\n", "it")).toEqual([]);
  });

  test.each([
    ["a footer that is missing", "-----BEGIN A-----\nAAAA\n", "cut off"],
    ["a footer with another label", "-----BEGIN A-----\nAAAA\n-----END B-----\n", "cut off"],
    [
      "a second block in the first",
      "-----BEGIN A-----\nAAAA\n-----BEGIN A-----\nAAAA\n-----END A-----\n",
      "cut off",
    ],
    ["no content", "-----BEGIN A-----\n\n-----END A-----\n", "broken base64"],
    ["truncated base64", "-----BEGIN A-----\nAAAAA\n-----END A-----\n", "broken base64"],
    ["padding in the middle", "-----BEGIN A-----\nAA==AAAA\n-----END A-----\n", "broken base64"],
    ["a character that is not base64", "-----BEGIN A-----\nAA*A\n-----END A-----\n", "broken base64"],
    ["base64 for URLs", "-----BEGIN A-----\nAA_A\n-----END A-----\n", "broken base64"],
  ])("refuses %s", async (_what, text, words) => {
    const failure = await failureOf(() => decodePem(text, "/etc/some-key.pem"));
    expect(failure.kind).toBe("data");
    expect(failure.message).toStartWith("/etc/some-key.pem holds a PEM block");
    expect(failure.message).toContain(words);
  });
});

describe("hasSameBlocks()", () => {
  const [one, two] = ["one", "two"].map((text) => encodePem("A", Buffer.from(text)));

  test("takes another order and other text between the blocks for the same", () => {
    expect(hasSameBlocks(`${one}${two}`, `subject=CN = a\n${two}\n${one}`)).toBe(true);
  });

  test.each([
    ["a block more", `${one}${two}${two}`],
    ["a block less", `${one}`],
    ["another block", `${one}${encodePem("A", Buffer.from("three"))}`],
    ["another label", `${one}${encodePem("B", Buffer.from("two"))}`],
    ["none", ""],
  ])("tells %s", (_what, other) => {
    expect(hasSameBlocks(`${one}${two}`, other)).toBe(false);
  });
});
