import type { KeyType } from "../../lib/x509/key-type.ts";

/** Every type of key that can be asked for. */
export const keyTypes: readonly KeyType[] = [
  { type: "rsa", bits: 2048 },
  { type: "rsa", bits: 3072 },
  { type: "rsa", bits: 4096 },
  { type: "ec", bits: 256 },
  { type: "ec", bits: 384 },
  { type: "ec", bits: 521 },
  { type: "ed25519", bits: 256 },
];
