import { Failure } from "../../lib/failure.ts";

/** The Failure that a call ends with; anything else that it throws, or no throw at all, fails the test. */
export async function failureOf(call: () => unknown): Promise<Failure> {
  try {
    await call();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("it was to fail, and did not");
}
