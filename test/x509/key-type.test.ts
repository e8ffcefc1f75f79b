import { describe, expect, test } from "bun:test";
import { chooseKeyType, isSameKeyType, type KeyType, keyTypeName } from "../../lib/x509/key-type.ts";
import { failureOf } from "../support/failure.ts";

describe("chooseKeyType()", () => {
  const chosen: ReadonlyArray<readonly [type: string | undefined, bits: string | undefined, name: string]> = [
    ["rsa", undefined, "RSA 2048"],
    ["rsa", "3072", "RSA 3072"],
    ["RSA", "4096", "RSA 4096"],
    ["ec", undefined, "EC P-256"],
    ["ec", "384", "EC P-384"],
    ["ec", "521", "EC P-521"],
    ["ed25519", undefined, "Ed25519"],
    ["ed25519", "256", "Ed25519"],
    [undefined, "2048", "RSA 2048"],
    [undefined, "384", "EC P-384"],
  ];
  test.each(chosen)("accepts type %s and size %s", (type, bits, name) => {
    const key = chooseKeyType(type, bits);
    expect(key && keyTypeName(key)).toBe(name);
  });

  test("returns undefined when nothing is asked for", () => {
    expect(chooseKeyType()).toBeUndefined();
  });

  const refused: ReadonlyArray<readonly [type: string | undefined, bits: string | undefined]> = [
    ["dsa", undefined],
    ["", undefined],
    ["toString", undefined],
    ["__proto__", undefined],
    ["rsa", "1024"],
    ["rsa", "256"],
    ["rsa", "2048.5"],
    ["rsa", "many"],
    ["ec", "2048"],
    ["ec", "512"],
    ["ed25519", "384"],
    [undefined, "1024"],
    [undefined, "0"],
  ];
  test.each(refused)("refuses type %s with size %s, and lists the supported ones", async (type, bits) => {
    const failure = await failureOf(() => chooseKeyType(type, bits));
    expect(failure.kind).toBe("usage");
    expect(failure.hint).toBe("choose rsa (2048, 3072, 4096), ec (256, 384, 521) or ed25519");
  });
});

describe("isSameKeyType()", () => {
  test("compares type and size", () => {
    const types: readonly KeyType[] = [
      { type: "rsa", bits: 2048 },
      { type: "rsa", bits: 4096 },
      { type: "ec", bits: 256 },
      { type: "ec", bits: 384 },
      { type: "ed25519", bits: 256 },
    ];
    for (const a of types) for (const b of types) expect(isSameKeyType(a, { ...b })).toBe(a === b);
  });
});
