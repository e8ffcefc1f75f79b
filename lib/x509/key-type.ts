import { Failure } from "../failure.ts";

/** A key type that we generate and that the roles sign. */
export type KeyType =
  | { readonly type: "rsa"; readonly bits: number }
  | { readonly type: "ec"; readonly bits: 256 | 384 | 521 }
  | { readonly type: "ed25519"; readonly bits: 256 };

export const defaultKeyType: KeyType = { type: "ec", bits: 256 };

/** As written on the command line and in manifests. */
export const keyTypes: ReadonlyArray<KeyType["type"]> = ["rsa", "ec", "ed25519"];
/** For help texts: the sizes of the types that have several. */
export const keySizes = "rsa: 2048, 3072, 4096; ec: 256, 384, 521";

const sizes = { rsa: [2048, 3072, 4096], ec: [256, 384, 521], ed25519: [256] } as const;

/**
 * The key type that was asked for by type, size or both; undefined when neither is given and any type will do.
 *
 * A size alone is enough, because RSA and EC have no size in common. So calls from the time when RSA was the only type
 * still work with 2048 bits.
 *
 * @throws Failure (usage) for an unsupported type or size
 */
export function chooseKeyType(type?: string, bits?: string): KeyType | undefined {
  if (type === undefined && bits === undefined) return undefined;
  // Digits only: Number() would accept 0x800 and 2.048e3.
  const size = bits === undefined ? undefined : /^\d+$/.test(bits) ? Number(bits) : Number.NaN;
  const name = type?.toLowerCase() ?? Object.keys(sizes).find((key) => offers(key, size)) ?? "";
  if (!isName(name)) {
    throw new Failure("usage", `there is no key type ${type ?? `of ${bits} bits`}`, { hint: offer() });
  }
  if (size !== undefined && !offers(name, size)) {
    throw new Failure("usage", `there is no ${name} key of ${bits} bits`, { hint: offer() });
  }
  if (name === "rsa") return { type: name, bits: size ?? 2048 };
  if (name === "ed25519") return { type: name, bits: 256 };
  return { type: name, bits: size === 384 || size === 521 ? size : 256 };
}

function isName(name: string): name is keyof typeof sizes {
  return Object.hasOwn(sizes, name);
}

function offers(name: string, bits: number | undefined): boolean {
  return isName(name) && sizes[name].some((size) => size === bits);
}

function offer(): string {
  return "choose rsa (2048, 3072, 4096), ec (256, 384, 521) or ed25519";
}

/** `RSA 2048`, `EC P-256`, `Ed25519` */
export function keyTypeName(key: KeyType): string {
  if (key.type === "ed25519") return "Ed25519";
  return key.type === "ec" ? `EC P-${key.bits}` : `RSA ${key.bits}`;
}

export function isSameKeyType(a: KeyType, b: KeyType): boolean {
  return a.type === b.type && a.bits === b.bits;
}
