import { Failure } from "../failure.ts";

/** A JSON object with unchecked fields. */
export type Fields = Readonly<Record<string, unknown>>;

export const oddAnswerHint =
  "neither Vault nor OpenBao answers like this: check VAULT_ADDR and any proxy on the way";

/** From 1970 to the end of the year 9999. */
const mostSeconds = 253_402_300_799;

/**
 * An answer whose fields are checked as they are read. Each method returns a field of one type, or throws a Failure
 * (unavailable) that names the request and the field, but never the value.
 */
export class Answer {
  readonly #what: string;
  readonly #fields: Fields;

  /** @param what the request, for messages: `GET sys/mounts` */
  constructor(what: string, value: unknown) {
    this.#what = what;
    if (!isFields(value)) throw this.mismatch("is not a JSON object");
    this.#fields = value;
  }

  get fields(): Fields {
    return this.#fields;
  }

  /** A field that is an object. */
  object(name: string): Answer {
    return new Answer(`${this.#what}, field ${name}`, this.#fields[name]);
  }

  string(name: string): string {
    const value = this.#fields[name];
    return typeof value === "string" ? value : this.#missing(name, "a string");
  }

  nonEmptyString(name: string): string {
    return this.string(name) || this.#missing(name, "a non-empty string");
  }

  /** A number of seconds within the calendar: every lifetime and every point in time is. */
  number(name: string): number {
    const value = this.#fields[name];
    if (isSeconds(value)) return value;
    const isNumber = typeof value === "number" && !Number.isNaN(value);
    return this.#missing(name, isNumber ? "a number in range" : "a number");
  }

  boolean(name: string): boolean {
    const value = this.#fields[name];
    return typeof value === "boolean" ? value : this.#missing(name, "a boolean");
  }

  /** A list of strings. Null or nothing is an empty list, as Go writes it. */
  strings(name: string): readonly string[] {
    const value = this.#fields[name];
    if (value === null || value === undefined) return [];
    return Array.isArray(value) && value.every((item) => typeof item === "string")
      ? value
      : this.#missing(name, "a list of strings");
  }

  #missing(name: string, kind: string): never {
    throw this.mismatch(`has no field ${name} that is ${kind}`);
  }

  /** The error for an answer that Vault would not give. */
  mismatch(how: string): Failure {
    return new Failure("unavailable", `the answer to ${this.#what} ${how}`, {
      hint: oddAnswerHint,
    });
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether a value is a number of seconds within the calendar, as a server's lifetimes and points in time are. */
export function isSeconds(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= mostSeconds;
}
