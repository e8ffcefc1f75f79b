import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { completions } from "../../tools/completions.ts";
import { commandPages } from "../../tools/pages.ts";
import { temporaryFolder } from "../support/folder.ts";
import { output } from "./released.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder.path, name);
const words = (await commandPages()).flatMap((command) => command.words).sort();

beforeAll(async () => {
  const { bash, zsh, fish } = await completions();
  mkdirSync(at("zsh"));
  writeFileSync(at("bash"), bash);
  writeFileSync(at("zsh/_vault-helper"), zsh);
  for (const [name, text] of fish) writeFileSync(at(`${name}.fish`), text);
  mkdirSync(at("here/a-folder"), { recursive: true });
  writeFileSync(at("here/a-file.toml"), "");
});
afterAll(() => folder[Symbol.dispose]());

/** Splits a line as bash does while it is being typed: `=` is a word of its own. */
async function bash(line: string): Promise<string[]> {
  const script = `. "$0"; cd "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
    compopt() { :; }
    "$(complete -p "\${1##*/}" | sed 's/.*-F \\([^ ]*\\).*/\\1/')"; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const typed = line.split(/ |(?==)|(?<==)(?!$)/);
  const found = await output(["bash", "--norc", "-c", script, at("bash"), at("here"), ...typed]);
  return found.split("\n").filter(Boolean).sort();
}

async function fish(line: string): Promise<string[]> {
  const script = 'for file in $argv[3..]; source $file; end; cd $argv[2]; complete -C "$argv[1]"';
  const files = [at("vault-helper.fish"), at("issue-cert.fish"), at("renew-token.fish")];
  const env = { HOME: folder.path, XDG_CONFIG_HOME: folder.path, XDG_DATA_HOME: folder.path };
  const found = await output(["fish", "--no-config", "-c", script, line, at("here"), ...files], { env });
  return found
    .split("\n")
    .map((it) => it.replace(/\t.*/, ""))
    .filter(Boolean)
    .sort();
}

/** Runs zsh in a terminal, because its completions work nowhere else, and collects what is offered. */
async function zsh(line: string): Promise<string[]> {
  const inside = `autoload -Uz compinit; compinit -u -D -d ${at("dump")}
    zstyle ':completion:*' completer _complete; zstyle ':completion:*' verbose no
    compadd() {
      local -a offered; builtin compadd -O offered "$@"
      (( \${@[(I)-O]} || \${@[(I)-A]} || \${@[(I)-D]} )) || print -rl -- $offered >>${at("offered")}
      builtin compadd "$@"
    }
    tell_done() { print -r done >>${at("offered")}; zle -I }
    zle -N tell_done; bindkey '^X' tell_done; bindkey '^I' complete-word; PS1=ready; unsetopt beep`;
  const script = `zmodload zsh/zpty; cd "$1"
    zpty -b z zsh -f -i; zpty -w z "source $2"
    : >"$3"; zpty -w -n z "$4"$'\\t\\030'
    for i in {1..200}; do grep -qx done "$3" && break; sleep 0.05; done
    zpty -d z; cat "$3"`;
  writeFileSync(at("setup.zsh"), `fpath=(${at("zsh")} $fpath)\n${inside}\n`);
  const found = await output(
    ["zsh", "-f", "-c", script, "zsh", at("here"), at("setup.zsh"), at("offered"), line],
    { env: { HOME: folder.path, ZDOTDIR: folder.path, TERM: "dumb" } },
  );
  const all = found.split("\n").map((it) => it.replace(/:.*/, "").trim());
  return [...new Set(all.filter((it) => it !== "" && it !== "done"))].sort();
}

describe.each(Object.entries({ bash, fish, zsh }))("in %s", (shell, complete) => {
  test("the tool's words are its commands and aliases", async () => {
    expect(await complete("vault-helper ")).toEqual(words);
  });

  test("a flag is completed from its beginning, for both names of a command and for its link", async () => {
    for (const command of ["vault-helper issue-cert", "vault-helper cert", "issue-cert"]) {
      expect(await complete(`${command} --key-`)).toEqual(["--key-bit-size", "--key-mode", "--key-type"]);
    }
  });

  test("choices are offered after a flag, and after its short form", async () => {
    for (const flag of ["--key-type", "-t"]) {
      expect(await complete(`issue-cert ${flag} `)).toEqual(["ec", "ed25519", "rsa"]);
    }
    expect(await complete("vault-helper cert --hooks ")).toEqual(["later", "now", "only"]);
  });

  test("files, folders and users are offered for flags that take them", async () => {
    const files = await complete("issue-cert --config ");
    expect(files.map((it) => it.replace(/\/$/, ""))).toEqual(["a-file.toml", "a-folder"]);
    const folders = await complete("renew-token --config-path a-");
    expect(folders.map((it) => it.replace(/\/$/, ""))).toEqual(["a-folder"]);
    expect(await complete("vault-helper cert --owner roo")).toEqual(["root"]);
  });

  test("nothing is offered for a free value", async () => {
    expect(await complete("issue-cert --san-hosts ")).toEqual([]);
  });

  test("a word as general as status is completed only after the tool's name", async () => {
    expect(await complete("vault-helper status --off")).toEqual(["--offline"]);
    const { bash, zsh } = await completions();
    const claimed = `${bash}${zsh}`.match(/^(#compdef|complete -F) .*/gm) ?? [];
    expect(claimed).toHaveLength(2);
    expect(claimed.join(" ")).not.toMatch(/ (setup|status|teardown|dev-server)( |$)/);
  });

  if (shell === "fish") {
    test("no completion file replaces fish's own one for status", async () => {
      expect([...(await completions()).fish.keys()].sort()).toEqual([
        ...["issue-cert", "read-secret", "renew-token", "rotate-ca", "setup-mounts"],
        ...["vault-helper", "write-kubeconfig", "write-roles"],
      ]);
    });
  }

  if (shell === "bash") {
    test("a value is completed after =", async () => {
      expect(await complete("issue-cert --key-type=")).toEqual(["ec", "ed25519", "rsa"]);
      expect(await complete("vault-helper cert --key-type=e")).toEqual(["ec", "ed25519"]);
    });
  }
});
