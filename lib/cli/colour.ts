import type { Environment } from "./variable.ts";

const codes = { red: 31, yellow: 33, green: 32, grey: 90 } as const;
export type Colour = keyof typeof codes;

/** What stands before and behind a text that has one. */
export const paintPattern = `\u001b\\[(?:0|${Object.values(codes).join("|")})m`;

/** Gives a text a colour, where there is somebody to see it. */
export type Paint = (text: string, colour: Colour) => string;

/**
 * Colours for what is printed on standard output: on a terminal that knows them, and for a person who wants them.
 *
 * @see https://no-color.org/
 */
export function painter(env: Environment, isTerminal: boolean = isShown()): Paint {
  const isWanted = isTerminal && !env.NO_COLOR && env.TERM !== "dumb";
  return (text, colour) => (isWanted ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text);
}

/** The module is loaded for that alone: it takes a tenth of what a renewal costs, and every command's log is by this file. */
function isShown(): boolean {
  return process.getBuiltinModule("node:tty").isatty(1);
}
