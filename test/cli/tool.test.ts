import { describe, expect, test } from "bun:test";
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { isOnByDefault, letter } from "../../lib/cli/arguments.ts";
import { splitWords } from "../../lib/cli/tool.ts";
import { version } from "../../package.json";
import { vaultHelper } from "../../scripts/vault-helper.ts";
import { temporaryFolder } from "../support/folder.ts";
import { runScript, scriptPath } from "../support/script.ts";

const { commands, aliases, groups } = vaultHelper;
const tool = (...words: string[]) => runScript("vault-helper", words);

describe("vault-helper", () => {
  test("without a word shows its help on standard error, and exits with 64", async () => {
    const { code, stdout, stderr } = await tool();
    expect([code, stdout]).toEqual([64, ""]);
    expect(stderr).toBe((await tool("--help")).stdout);
  });

  test.each([
    [["--help"]],
    [["-h"]],
    [["help"]],
    [["help", "--help"]],
    [["--log-level=2", "help"]],
    [["-l", "2", "-h"]],
  ])("%j shows all commands", async (words) => {
    const { code, stdout, stderr } = await tool(...words);
    expect([code, stderr]).toEqual([0, ""]);
    for (const name of Object.keys(commands)) expect(stdout).toMatch(new RegExp(`^ {2}${name} +\\w`, "m"));
  });

  test.each([
    [["version"]],
    [["--version"]],
    [["-v"]],
    [["version", "--log-level", "2"]],
    [["-l2", "version"]],
  ])("%j shows its name and version", async (words) => {
    const { code, stdout, stderr } = await tool(...words);
    expect([code, stdout, stderr]).toEqual([0, `vault-helper ${version}\n`, ""]);
  });

  test("has each command under one heading of its help", () => {
    const grouped = Object.values(groups).flat();
    expect(Object.keys(commands).filter((name) => !grouped.includes(name))).toEqual([]);
    expect(grouped).toEqual([...new Set(grouped)]);
  });

  test("lists the Go tool's names as aliases", async () => {
    const { stdout } = await tool("--help");
    const [, section = ""] = stdout.split(/^Aliases.*:$/m);
    const wanted = Object.entries(aliases).filter(([, name]) => name in commands);
    const told = section.split("\n\n")[0]?.trim().split("\n") ?? [];
    expect(told.map((line) => line.trim().split(/ +/))).toEqual(wanted);
  });

  test("has no line in its help that is too long for a terminal", async () => {
    const lines = (await tool("--help")).stdout.split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
  });
});

const names = [
  ...Object.keys(commands),
  ...Object.keys(aliases).filter((it) => (aliases[it] ?? "") in commands),
];

describe.each(names)("vault-helper %s", (name) => {
  test("has its own help, with lines that can be pasted", async () => {
    const { code, stdout } = await tool(name, "--help");
    expect(code).toBe(0);
    expect(stdout).toStartWith(`vault-helper ${name}: `);
    expect(stdout).toContain(`\nUsage: vault-helper ${name} [flags]`);
    expect(stdout).toContain(`\n  vault-helper ${name} `);
    for (const words of [
      ["help", name],
      ["-h", name],
      ["--log-level=2", name, "-h"],
      ["-l", "2", name, "-h"],
      ["help", "-l2", name],
    ]) {
      expect((await tool(...words)).stdout).toBe(stdout);
    }
  });

  test("names itself in messages about its command line", async () => {
    const { code, stdout, stderr } = await tool(name, "--nothing-like-it");
    expect([code, stdout]).toEqual([64, ""]);
    expect(stderr).toBe(
      `vault-helper ${name}: there is no flag --nothing-like-it\n  see vault-helper ${name} --help\n`,
    );
  });
});

describe("help and version, in each form of a boolean flag,", () => {
  test.each([[["--help=true"]], [["-h=1"]], [["-hl2"]], [["-l2", "-h"]]])(
    "%j shows the help and does nothing",
    async (words) => {
      using folder = temporaryFolder();
      const { stdout } = await tool("renew-token", "--help");
      const result = await tool("renew-token", "-p", folder.path, ...words);
      expect(result).toEqual({ code: 0, stdout, stderr: "" });
    },
  );

  test.each([[["--version=true"]], [["-v=T"]], [["-vl2"]]])(
    "%j shows the version and does nothing",
    async (words) => {
      using folder = temporaryFolder();
      const stdout = `vault-helper renew-token ${version}\n`;
      const result = await tool("renew-token", "-p", folder.path, ...words);
      expect(result).toEqual({ code: 0, stdout, stderr: "" });
    },
  );

  test("are not shown when turned off", async () => {
    using folder = temporaryFolder();
    const { code } = await tool("renew-token", "-p", folder.path, "--help=false", "--version=0");
    expect(code).toBe(77);
  });
});

describe("flags before the command", () => {
  test.each([
    [["--config-path=FOLDER", "--log-level=2", "renew-token"]],
    [["--config-path", "FOLDER", "-l", "2", "renew-token"]],
    [["-pFOLDER", "-l2", "renew-token"]],
    [["-p=FOLDER", "--json", "-l=2", "renew-token"]],
    [["-p", "FOLDER", "renew-token", "-l2"]],
  ])("are the command's: %j", async (words) => {
    using folder = temporaryFolder();
    const { code, stderr } = await tool(...words.map((word) => word.replace("FOLDER", folder.path)));
    expect(code).toBe(77);
    expect(stderr).toStartWith("vault-helper renew-token: ");
    expect(stderr).toContain(folder.path);
  });

  test("may be any flag of any command, without confusing its value with the command", async () => {
    const flags = (await Promise.all(Object.values(commands).map((load) => load()))).flatMap(({ page }) =>
      Object.entries(page.args).filter(([, { type }]) => type !== "positional"),
    );
    for (const [name, argument] of flags) {
      const short = letter(argument);
      const forms = [`--${name}`, ...(short === undefined ? [] : [`-${short}`])];
      const value = argument.type === "boolean" ? [] : ["value"];
      const off = isOnByDefault(argument) ? [[`--no-${name}`]] : [];
      for (const words of [...forms.map((form) => [form, ...value]), ...off]) {
        expect(await splitWords(vaultHelper, [...words, "setup", "demo"])).toEqual({
          name: "setup",
          rest: [...words, "demo"],
        });
      }
    }
  });

  test("end at --, and no word after it is a command", async () => {
    const { code, stderr } = await tool("--log-level=2", "--", "renew-token");
    expect([code, stderr]).toEqual([64, "vault-helper: a command is missing\n  see vault-helper --help\n"]);
  });
});

describe("a word that is not a command", () => {
  test.each([
    [["isue-cert"], "did you mean issue-cert? see vault-helper --help"],
    [["crt", "a", "b", "c"], "did you mean cert? see vault-helper --help"],
    [["help", "renew-tokn"], "did you mean renew-token? see vault-helper --help"],
    [["verison"], "did you mean version? see vault-helper --help"],
    [["nothing"], "see vault-helper --help"],
    [["constructor"], "see vault-helper --help"],
    [["--forced", "issue-cert"], "see vault-helper --help"],
  ])("%j", async (words, hint) => {
    const { code, stdout, stderr } = await tool(...words);
    expect([code, stdout]).toEqual([64, ""]);
    expect(stderr).toMatch(
      /^vault-helper: (there is no command (isue-cert|crt|renew-tokn|verison|nothing|constructor)|a command is missing)\n/,
    );
    expect(stderr).toEndWith(`\n  ${hint}\n`);
  });

  test("is not printed if it may be a token", async () => {
    for (const token of [
      "hvs.CAESIJ3jvbGZKZzlmQ",
      "s.short",
      "0d2b7c5e-5c3a-4b1e-9c37-1f0c9f1d8a6b",
      "CAESIJ3jvbGZKZzlmQabcdefg",
    ]) {
      for (const words of [[token], ["help", token], ["version", token], ["renew-token", token]]) {
        const { code, stdout, stderr } = await tool(...words);
        expect([code, stdout]).toEqual([64, ""]);
        expect(stderr).not.toContain(token);
      }
    }
  });

  test("is printed without control characters", async () => {
    const { stderr } = await tool("a\u001b[2Jb");
    expect(stderr).toBe('vault-helper: there is no command "a\\u001b[2Jb"\n  see vault-helper --help\n');
  });
});

describe("the name by which the executable is called", () => {
  const callAs = async (name: string, ...words: string[]) => {
    using folder = temporaryFolder();
    const path = join(folder.path, name);
    symlinkSync(await scriptPath("vault-helper"), path);
    const { stdout, stderr, exitCode } = Bun.spawnSync([path, ...words], { env: {} });
    return { code: exitCode, text: stdout.toString() + stderr.toString() };
  };

  test.each(Object.keys(commands))("%s runs that command", async (name) => {
    const { code, text } = await callAs(name, "--help");
    expect(code).toBe(0);
    expect(text).toContain(`\nUsage: ${name} [flags]`);
  });

  test("goes before a first word that names another command", async () => {
    const { code, text } = await callAs("renew-token", "version");
    expect([code, text]).toEqual([64, "renew-token: it takes no arguments\n  see renew-token --help\n"]);
  });

  test("is the tool's if it is not a command's", async () => {
    expect((await callAs("vault-helper-1.0", "version")).text).toBe(`vault-helper ${version}\n`);
    expect((await callAs("constructor", "version")).text).toBe(`vault-helper ${version}\n`);
  });
});
