import { basename } from "node:path";
import { findCommand, splitWords, type Tool } from "./tool.ts";

/**
 * Runs the command that the executable is named after, through a link for example; else the one that the words name.
 */
export async function runTool(
  tool: Tool,
  calledBy: string = basename(process.argv0),
  words: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const byLink = Object.hasOwn(tool.commands, calledBy) ? tool.commands[calledBy] : undefined;
  if (byLink !== undefined) return await (await byLink()).run(words, calledBy);
  const { name, rest } = await splitWords(tool, words);
  const load = name === undefined ? undefined : findCommand(tool, name);
  if (load !== undefined) return await (await load()).run(rest, `${tool.name} ${name}`);
  const { answer } = await import("./tool-answers.ts");
  process.exit(await answer(tool, name, rest));
}
