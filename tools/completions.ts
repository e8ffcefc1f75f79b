import { type Argument, isOnByDefault, letter } from "../lib/cli/arguments.ts";
import { vaultHelper } from "../scripts/vault-helper.ts";
import { type CommandPage, commandPages } from "./pages.ts";

export interface Completions {
  readonly bash: string;
  readonly zsh: string;
  /** By command name, because fish loads a file named after the command. */
  readonly fish: ReadonlyMap<string, string>;
}

/**
 * Completions for the tool and its links, made from the same data as the help. They are plain shell code and start none
 * of our executables.
 */
export async function completions(): Promise<Completions> {
  const commands = await commandPages();
  const links = commands.filter(({ isLinked }) => isLinked);
  const fish = new Map([[vaultHelper.name, fishTool(commands)]]);
  for (const { page } of links) fish.set(page.name, fishFlags(page.name, flagsOf(page.args)));
  return { bash: bash(commands, links), zsh: zsh(commands, links), fish };
}

/** Where the suggestions for a flag's value come from. */
type Source =
  | { readonly kind: "file" | "folder" | "user" | "group" | "any" | "none" }
  | { readonly kind: "choice"; readonly choices: readonly string[] };

interface Flag {
  readonly name: string;
  readonly short: string | undefined;
  readonly about: string;
  readonly hint: string;
  readonly source: Source;
  readonly mayRepeat: boolean;
}

const sourceByHint: Readonly<Record<string, Source>> = {
  FILE: { kind: "file" },
  FOLDER: { kind: "folder" },
  USER: { kind: "user" },
  GROUP: { kind: "group" },
};

function flagsOf(args: CommandPage["page"]["args"]): Flag[] {
  return Object.entries(args)
    .filter(([, { type }]) => type !== "positional")
    .map(([name, argument]) => ({
      // A flag that is on by default is only typed to turn it off.
      name: isOnByDefault(argument) ? `no-${name}` : name,
      short: isOnByDefault(argument) ? undefined : letter(argument),
      about: argument.description ?? "",
      hint: argument.valueHint ?? "VALUE",
      source: sourceOf(argument),
      mayRepeat: argument.list === true,
    }));
}

function sourceOf({ type, choices, valueHint = "" }: Argument): Source {
  if (type === "boolean") return { kind: "none" };
  return choices === undefined ? (sourceByHint[valueHint] ?? { kind: "any" }) : { kind: "choice", choices };
}

function spellings({ name, short }: Flag): string[] {
  return [`--${name}`, ...(short === undefined ? [] : [`-${short}`])];
}

/** Needs only bash itself: no program, and not the package bash-completion. */
function bash(commands: readonly CommandPage[], links: readonly CommandPage[]): string {
  const words = commands.flatMap((command) => command.words);
  const cases = commands.flatMap(({ page, words }) => {
    const flags = flagsOf(page.args);
    return [
      `    ${words.join("|")})`,
      `      flags='${flags.flatMap(spellings).join(" ")}'`,
      "      case $flag in",
      ...flags
        .filter(({ source }) => source.kind !== "none")
        .map((flag) => `        ${spellings(flag).join("|")}) ${bashSource(flag.source)} ;;`),
      "      esac",
      "      ;;",
    ];
  });
  return `_vault_helper() {
  local word command= flags='--help --version' kind= choices= i
  local cur=\${COMP_WORDS[COMP_CWORD]} flag=\${COMP_WORDS[COMP_CWORD-1]}
  # --name=value comes as three words.
  if [[ $cur == = ]]; then cur=
  elif [[ $flag == = ]]; then flag=\${COMP_WORDS[COMP_CWORD-2]}; fi
  command=\${COMP_WORDS[0]##*/}
  if [[ $command == ${vaultHelper.name} ]]; then
    command=
    for ((i = 1; i < COMP_CWORD; i++)); do
      word=\${COMP_WORDS[i]}
      case $word in ${words.join("|")}) command=$word; break ;; esac
    done
  fi
  case $command in
${cases.join("\n")}
    *) if [[ $cur != -* ]]; then kind=choice choices='${words.join(" ")}'; fi ;;
  esac
  if [[ -z $kind && $cur == -* ]]; then kind=choice choices=$flags; fi
  COMPREPLY=()
  case $kind in
    choice) mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur") ;;
    user) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
    group) mapfile -t COMPREPLY < <(compgen -g -- "$cur") ;;
    folder) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;
    any) ;;
    *) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
  esac
}
complete -F _vault_helper ${[vaultHelper.name, ...links.map(({ page }) => page.name)].join(" ")}
`;
}

function bashSource(source: Source): string {
  return source.kind === "choice"
    ? `kind=choice choices='${source.choices.join(" ")}'`
    : `kind=${source.kind}`;
}

function zsh(commands: readonly CommandPage[], links: readonly CommandPage[]): string {
  const described = commands.flatMap(({ page, words }) =>
    words.map((word) => `    ${quoted(`${word}:${page.description}`)}`),
  );
  const cases = commands.map(({ page, words }) => {
    const specs = flagsOf(page.args).map((flag) => `        ${zshFlag(flag)}`);
    return `    ${words.join("|")})\n      _arguments -S : \\\n${specs.join(" \\\n")} \\\n        '*:file:_files' ;;`;
  });
  return `#compdef ${[vaultHelper.name, ...links.map(({ page }) => page.name)].join(" ")}

_vault_helper_command() {
  case $1 in
${cases.join("\n")}
  esac
}

_vault_helper() {
  if [[ $service != ${vaultHelper.name} ]]; then
    _vault_helper_command $service
    return
  fi
  local curcontext=$curcontext context state state_descr line
  local -A opt_args
  local -a commands=(
${described.join("\n")}
  )
  _arguments -C '(-h --help)'{-h,--help}'[show the help]' '--version[show the version]' \\
    '1:command:->command' '*::argument:->rest'
  case $state in
    command) _describe command commands ;;
    rest) _vault_helper_command $line[1] ;;
  esac
}

_vault_helper "$@"
`;
}

function zshFlag(flag: Flag): string {
  const about = flag.about.replaceAll(/[\\[\]:]/g, "\\$&");
  const takesValue = flag.source.kind !== "none";
  const value = takesValue ? `:${flag.hint}:${zshAction(flag.source)}` : "";
  const long = `--${flag.name}${takesValue ? "=" : ""}`;
  const rest = quoted(`[${about}]${value}`);
  const once = flag.mayRepeat ? "'*'" : `'(${spellings(flag).join(" ")})'`;
  return flag.short === undefined
    ? `${flag.mayRepeat ? "'*'" : ""}${long}${rest}`
    : `${once}{-${flag.short}${takesValue ? "+" : ""},${long}}${rest}`;
}

function zshAction(source: Source): string {
  if (source.kind === "choice") return `(${source.choices.join(" ")})`;
  const actions = {
    file: "_files",
    folder: "_files -/",
    user: "_users",
    group: "_groups",
    any: " ",
    none: "",
  };
  return actions[source.kind];
}

function fishTool(commands: readonly CommandPage[]): string {
  const { name } = vaultHelper;
  const first = `complete -c ${name} -n __fish_use_subcommand`;
  return [
    `${first} -f -s h -l help -d 'show the help'`,
    `${first} -f -l version -d 'show the version'`,
    ...commands.flatMap(({ page, words }) =>
      words.map((word) => `${first} -f -a ${word} -d ${fishQuoted(page.description)}`),
    ),
    ...commands.map(({ page, words }) =>
      fishFlags(
        name,
        flagsOf(page.args),
        ` -n ${fishQuoted(`__fish_seen_subcommand_from ${words.join(" ")}`)}`,
      ).trimEnd(),
    ),
    "",
  ].join("\n");
}

function fishFlags(name: string, flags: readonly Flag[], when = ""): string {
  return flags
    .map((flag) => {
      const short = flag.short === undefined ? "" : ` -s ${flag.short}`;
      const value = fishSource(flag.source);
      return `complete -c ${name}${when}${short} -l ${flag.name}${value} -d ${fishQuoted(flag.about)}\n`;
    })
    .join("");
}

function fishSource(source: Source): string {
  if (source.kind === "choice") return ` -x -a ${fishQuoted(source.choices.join(" "))}`;
  const sources = {
    file: " -r -F",
    folder: " -x -a '(__fish_complete_directories)'",
    user: " -x -a '(__fish_complete_users)'",
    group: " -x -a '(__fish_complete_groups)'",
    any: " -x",
    none: "",
  };
  return sources[source.kind];
}

/** Quotes a text for a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, "\\$&")}'`;
}
