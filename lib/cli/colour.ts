import type { Environment } from "./variable.ts";

const codes = { red: 31, yellow: 33, green: 32, grey: 90 } as const;
export type Colour = keyof typeof codes;

/** Matches what is put before and after a coloured text. */
export const paintPattern = `\u001b\\[(?:0|${Object.values(codes).join("|")})m`;

/** Colours a text, if a person is going to see it. */
export type Paint = (text: string, colour: Colour) => string;

/**
 * Colours for standard output. They are used on a terminal that supports them, unless the person has opted out.
 *
 * @see https://no-color.org/
 */
export function painter(env: Environment, isTerminal: boolean = isShown()): Paint {
  const isWanted = isTerminal && !env.NO_COLOR && env.TERM !== "dumb";
  return (text, colour) => (isWanted ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text);
}

/** node:tty is loaded only here: loading it costs a tenth of a renewal, and every command loads this file for its log. */
function isShown(): boolean {
  return process.getBuiltinModule("node:tty").isatty(1);
}
