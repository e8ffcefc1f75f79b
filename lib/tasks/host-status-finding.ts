import { errorCode } from "../host/file-error.ts";

/** `due`: the next run, or one command, mends it. `wrong`: it is of no use now, or somebody has to see to it. */
export type State = "wrong" | "due" | "unknown" | "ok";

/** The worst first. What is unknown was not asked, or can't be told; it is no fault by itself. */
export const states: readonly State[] = ["wrong", "due", "unknown", "ok"];

/** How one thing stands. */
export interface Finding {
  readonly state: State;
  /** Why, each in a few words; of one that is ok, what is worth knowing. */
  readonly reasons: readonly string[];
  /** The command that mends it; absent where none does. */
  readonly mend?: string;
}

export function worstState(found: readonly State[]): State {
  return states.find((state) => found.includes(state)) ?? "ok";
}

/** A file that this user may not read: one thing is wrong then, and not each that depends on it. */
export function isDenied(error: unknown): boolean {
  return error instanceof Error && ["EACCES", "EPERM"].includes(errorCode(error.cause));
}
