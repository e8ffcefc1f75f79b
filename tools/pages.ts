import { asCalled, type HelpPage } from "../lib/cli/help.ts";
import { vaultHelper } from "../scripts/vault-helper.ts";
import { packagedLinkNames } from "./build.ts";

/** A command, with all the names that it can be called by. */
export interface CommandPage {
  readonly page: HelpPage;
  /** The names after `vault-helper`: its own, then its aliases. */
  readonly words: readonly string[];
  /** Whether every kind of installation has a link of its name. */
  readonly isLinked: boolean;
}

/** The data of all commands' help, in the tool's order. */
export async function commandPages(): Promise<CommandPage[]> {
  const links = packagedLinkNames();
  const aliases = Object.entries(vaultHelper.aliases);
  return await Promise.all(
    Object.entries(vaultHelper.commands).map(async ([name, load]) => ({
      page: (await load()).page,
      words: [name, ...aliases.filter(([, full]) => full === name).map(([alias]) => alias)],
      isLinked: links.includes(name),
    })),
  );
}

/** All the ways to call a command: those with the tool's name first (`vault-helper cert`), then its link. */
export function callsOf({ page, words, isLinked }: CommandPage): readonly string[] {
  return [...words.map((word) => `${vaultHelper.name} ${word}`), ...(isLinked ? [page.name] : [])];
}

/** A command's examples, with the tool's name before the command. */
export function examplesOf(command: CommandPage): HelpPage["examples"] {
  const { name, examples } = command.page;
  const [call = name] = callsOf(command);
  return examples.map(([line, purpose]) => [asCalled(line, name, call), purpose]);
}

/** The commands under each heading of the tool's help. Commands without a heading come last. */
export function groupsOf(commands: readonly CommandPage[]): ReadonlyMap<string, readonly CommandPage[]> {
  const grouped = Object.values(vaultHelper.groups).flat();
  const rest = commands.map(({ page }) => page.name).filter((name) => !grouped.includes(name));
  const groups = [...Object.entries(vaultHelper.groups), ["Other", rest] as const].map(
    ([heading, names]) =>
      [heading, names.flatMap((name) => commands.filter(({ page }) => page.name === name))] as const,
  );
  return new Map(groups.filter(([, members]) => members.length > 0));
}
