import type { Action } from "./action.ts";

/**
 * `due`: the next run or one command fixes it. `wrong`: it doesn't work, or a person has to act. `unknown`: it was
 * not checked, or could not be; that alone is no fault.
 */
export type State = "wrong" | "due" | "unknown" | "ok";

/** The worst first. */
export const states: readonly State[] = ["wrong", "due", "unknown", "ok"];

/** The state of one thing on a host or in a cluster. */
export interface Finding {
  readonly state: State;
  /** The reasons for the state, a few words each. An `ok` finding may have remarks here. */
  readonly reasons: readonly string[];
  /** How to fix it; absent when nothing can or has to be fixed. In JSON it is a command called `mend`. */
  readonly fix?: Action;
}

/** The worst of some states; `ok` for an empty list. */
export function worstState(found: readonly State[]): State {
  return states.find((state) => found.includes(state)) ?? "ok";
}
