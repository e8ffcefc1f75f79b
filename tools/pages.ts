import type { HelpPage } from "../lib/cli/help.ts";
import { vaultHelper } from "../scripts/vault-helper.ts";
import { packagedLinkNames } from "./build.ts";

/** A command, and all that it can be called by. */
export interface CommandPage {
  readonly page: HelpPage;
  /** After `vault-helper`: its name, then its aliases. */
  readonly words: readonly string[];
  /** Whether a link of its name is that command, wherever this was installed from. */
  readonly isLinked: boolean;
}

/** What the commands' help is made of, in the order of the tool's table. */
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
