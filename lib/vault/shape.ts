import { Failure } from "../failure.ts";

/** A JSON object whose fields nobody looked at yet. */
export type Fields = Readonly<Record<string, unknown>>;

/** Those from 1970 to the end of the year 9999. */
const mostSeconds = 253_402_300_799;

/**
 * An answer, checked as it is read: each method gives the field in the type that it names, or throws a Failure
 * that names the request and the field, never the value.
 */
export class Answer {
  readonly #what: string;
  readonly #fields: Fields;

  /** @param what the request, for sentences: `GET sys/mounts` */
  constructor(what: string, value: unknown) {
    this.#what = what;
    if (!isFields(value)) throw this.mismatch("is not a JSON object");
    this.#fields = value;
  }

  get fields(): Fields {
    return this.#fields;
  }

  /** A field that is an object of its own. */
  object(name: string): Answer {
    return new Answer(`${this.#what}, field ${name}`, this.#fields[name]);
  }

  text(name: string): string {
    const value = this.#fields[name];
    return typeof value === "string" ? value : this.#missing(name, "a text");
  }

  /** As `text`, and not empty. */
  filledText(name: string): string {
    return this.text(name) || this.#missing(name, "a text that is not empty");
  }

  /** A number of seconds that a calendar can hold: more is no lifetime, and no point in time. */
  number(name: string): number {
    const value = this.#fields[name];
    if (isSeconds(value)) return value;
    const isNumber = typeof value === "number" && !Number.isNaN(value);
    return this.#missing(name, isNumber ? "a number in range" : "a number");
  }

  truth(name: string): boolean {
    const value = this.#fields[name];
    return typeof value === "boolean" ? value : this.#missing(name, "true or false");
  }

  /** A list of texts; null, as Go writes an empty list, is one too. */
  texts(name: string): readonly string[] {
    const value = this.#fields[name];
    if (value === null || value === undefined) return [];
    return Array.isArray(value) && value.every((item) => typeof item === "string")
      ? value
      : this.#missing(name, "a list of texts");
  }

  #missing(name: string, kind: string): never {
    throw this.mismatch(`has no field ${name} that is ${kind}`);
  }

  /** The error of an answer that is none of Vault's. */
  mismatch(how: string): Failure {
    return new Failure("unavailable", `the answer to ${this.#what} ${how}`, {
      hint: "this is not what Vault or OpenBao answers: check VAULT_ADDR, and the proxy between",
    });
  }
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A number of seconds that a calendar can hold, as every lifetime and every point in time of a server is. */
export function isSeconds(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= mostSeconds;
}
