import { Failure } from "../../lib/failure.ts";

/** The Failure that a call throws. The test fails if it throws anything else or nothing. */
export async function failureOf(call: () => unknown): Promise<Failure> {
  try {
    await call();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("it was to fail, and did not");
}
