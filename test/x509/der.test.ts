import { describe, expect, test } from "bun:test";
import { fromBER, ObjectIdentifier, OctetString, Sequence } from "asn1js";
import fc from "fast-check";
import {
  bitString,
  nullValue,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  smallInteger,
  tagged,
  utf8String,
} from "../../lib/x509/der.ts";
import { failureOf } from "../support/failure.ts";

const hex = (bytes: Uint8Array) => bytes.toHex();

describe("writes what X.690 shows:", () => {
  test.each([
    ["a NULL", nullValue(), "0500"],
    ["an INTEGER", smallInteger(3), "020103"],
    ["an OCTET STRING", octetString(Uint8Array.of(1, 2)), "04020102"],
    ["a BIT STRING of whole bytes", bitString(Uint8Array.of(0x0a, 0x3b)), "0303000a3b"],
    ["a UTF8String", utf8String("é"), "0c02c3a9"],
    ["a SEQUENCE", sequence(nullValue(), smallInteger(1)), "30050500020101"],
    ["an empty SEQUENCE", sequence(), "3000"],
    ["a SET OF one value", setOf(nullValue()), "31020500"],
    ["a tag of a structure", tagged(0x82, Uint8Array.of(0x61)), "820161"],
    // Section 8.19.5.
    ["an OBJECT IDENTIFIER", objectIdentifier("2.999.3"), "0603883703"],
    ["a long one", objectIdentifier("1.2.840.113549.1.9.14"), "06092a864886f70d01090e"],
  ])("%s", (_what, value, wanted) => {
    expect(hex(value)).toBe(wanted);
  });
});

test.each([
  [0x7f, "047f"],
  [0x80, "048180"],
  [0xff, "0481ff"],
  [0x100, "04820100"],
  [0xffff, "0482ffff"],
  [0x10000, "0483010000"],
])("writes a length of %i bytes in its shortest form", (length, head) => {
  const value = octetString(new Uint8Array(length));
  expect(hex(value.subarray(0, head.length / 2))).toBe(head);
  expect(value.length).toBe(head.length / 2 + length);
});

test.each([-1, 128, 1.5, Number.NaN])(
  "smallInteger() refuses %p, which one byte can't hold",
  async (value) => {
    const failure = await failureOf(() => smallInteger(value));
    expect([failure.kind, failure.message]).toEqual(["internal", `${value} is no integer from 0 to 127`]);
  },
);

test("writes values that another implementation reads", () => {
  const arc = fc.integer({ min: 0, max: 2 ** 28 - 1 });
  const id = fc
    .tuple(fc.integer({ min: 0, max: 2 }), fc.integer({ min: 0, max: 39 }), fc.array(arc, { maxLength: 6 }))
    .map(([first, second, rest]) => [first, second, ...rest].join("."));
  fc.assert(
    fc.property(id, fc.uint8Array({ maxLength: 300 }), (text, content) => {
      const { result, offset } = fromBER(sequence(objectIdentifier(text), octetString(content)));
      expect(offset).not.toBe(-1);
      const [first, second] = result instanceof Sequence ? result.valueBlock.value : [];
      expect(first instanceof ObjectIdentifier && first.valueBlock.toString()).toBe(text);
      expect(second instanceof OctetString && hex(second.valueBlock.valueHexView)).toBe(hex(content));
    }),
  );
});
