/**
 * `due`: the next run, or one command, mends it. `wrong`: it is of no use now, or somebody has to see to it. `unknown`: it
 * was not asked, or can't be told, which is no fault by itself.
 */
export type State = "wrong" | "due" | "unknown" | "ok";

/** The worst first. */
export const states: readonly State[] = ["wrong", "due", "unknown", "ok"];

/** How one thing of a host or a cluster stands. */
export interface Finding {
  readonly state: State;
  /** Why, each in a few words; of one that is ok, what is worth knowing. */
  readonly reasons: readonly string[];
  /** What mends it, most often a command; absent where nothing does, or has to. */
  readonly mend?: string;
}

/** @returns `ok` for none */
export function worstState(found: readonly State[]): State {
  return states.find((state) => found.includes(state)) ?? "ok";
}
