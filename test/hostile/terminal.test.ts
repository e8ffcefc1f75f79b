import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { runCommand, runScript, type ScriptResult, scriptPath } from "../support/script.ts";
import { type Seen, startScripted } from "../support/scripted.ts";
import { createCa } from "../support/set.ts";
import { type Stage, setStage, signPath } from "./stage.ts";

// Names and words from others are shown to a person, but must not control the terminal.

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

const title = "\u001b]0;owned\u0007";
const c1 = "\u009b8m";
const turned = "\u202eedoc";

/** Every control character except line feeds. */
const marks = ({ stdout, stderr }: ScriptResult) => (stdout + stderr).match(/[^\P{Cc}\n]|\p{Cf}/gu);

describe("No control character of others reaches the terminal", () => {
  test("by the names of a secret's fields", async () => {
    await stage.server.write("demo/secrets/odd", { [`a${title}${c1}`]: "x", [`b${turned}`]: "y" });
    const run = await runScript("read-secret", ["-f", "none", "demo/secrets/odd"], { env: stage.admin });
    expect(run.stderr).toContain('it has "a\\u001b]0;owned\\u0007\ufffd8m", "b\ufffdedoc"');
    expect([run.code, marks(run)]).toEqual([65, null]);
  });

  test("by the names in a certificate in a suggested command", async () => {
    using folder = temporaryFolder();
    const file = (suffix: string, content: string) =>
      writeFileSync(join(folder.path, `odd${suffix}`), content, { mode: 0o600 });
    const ca = createCa();
    const names = { commonName: `it${title}${c1}\nforged`, organisations: [`its${turned}`] };
    file(".pem", ca.sign(opensslEcKey("P-256"), names));
    file("-key.pem", opensslEcKey("P-256"));
    file("-ca.pem", ca.pem);
    const args = ["--offline", "--config-path", folder.path, "--destination", join(folder.path, "odd")];
    const run = await runScript("status", args);
    expect(run.stdout).toContain(
      `to fix it: issue-cert --config-path ${folder.path} --if-due -n 'its\ufffdedoc'`,
    );
    expect([run.code, marks(run), run.stdout.split("\n").filter((it) => it.startsWith("forged"))]).toEqual([
      1,
      null,
      [],
    ]);
  });

  test("by a server's words", async () => {
    await using server = startScripted(() =>
      Response.json({ errors: [`no${title}${c1}${turned}`] }, { status: 400 }),
    );
    using folder = temporaryFolder();
    const run = await runScript("issue-cert", [signPath, "it", join(folder.path, "it")], {
      env: { VAULT_ADDR: server.address, VAULT_TOKEN: "t" },
    });
    expect(run.stderr).toContain("no\ufffd]0;owned\ufffd\ufffd8m\ufffdedoc");
    expect([run.code, marks(run)]).toEqual([65, null]);
  });

  const evil = `no${title}${c1}${turned}\u2028\u200b\nforged: all is well`;
  const refuses = () => Response.json({ errors: [evil] }, { status: 400 });
  const answers = ({ path }: Seen) =>
    Response.json({
      sealed: false,
      auth: { client_token: "hvs.t", accessor: evil, lease_duration: 60, renewable: true, policies: [evil] },
      data: path.includes("lookup-self")
        ? { accessor: evil, ttl: 60, creation_ttl: 60, renewable: true, policies: [evil] }
        : { [evil]: evil, certificate: evil, issuing_ca: evil, keys: [evil] },
      warnings: [evil],
    });
  const commands: ReadonlyArray<readonly [script: string, ...args: string[]]> = [
    ["renew-token", "-p", "ETC"],
    ["issue-cert", "-p", "ETC", signPath, "it", "ETC/it"],
    ["write-kubeconfig", "-p", "ETC", signPath, "it", "ETC/it", "ETC/kubeconfig"],
    ["read-secret", "-p", "ETC", "demo/secrets/x"],
    ["read-secret", "-p", "ETC", "-f", "none", "demo/secrets/x"],
    ["status", "-p", "ETC", "--config-dir", "/nonexistent"],
    ["status", "demo"],
    ["setup-mounts", "demo"],
    ["write-roles", "demo"],
    ["teardown", "demo"],
    ["vault-helper", "setup", "demo"],
  ];
  const rows = commands.flatMap(([script, ...args]) =>
    (["-l0", "-l2", "--json"] as const).flatMap((flag) =>
      // A pipe gets a whole secret unchanged: see below.
      (script === "read-secret" && !args.includes("-f") ? [refuses] : [refuses, answers]).map(
        (answer) => [[script, ...args, flag].join(" "), answer.name, answer] as const,
      ),
    ),
  );
  test.concurrent.each(rows)("by %s, of a server that %s", async (line, _, answer) => {
    await using server = startScripted(answer);
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, "token"), "hvs.t", { mode: 0o600 });
    const [script = "", ...args] = line.replaceAll("ETC", folder.path).split(" ");
    const admin = args.includes("-p") ? {} : { VAULT_TOKEN: "hvs.t" };
    const run = await runScript(script, args, { env: { VAULT_ADDR: server.address, ...admin } });
    expect(server.seen).not.toEqual([]);
    expect(marks(run)).toBeNull();
    expect((run.stdout + run.stderr).match(/[\u2028\u2029]|^forged/m)).toBeNull();
  });

  test("by the words of an internal error, with its trace", async () => {
    const { stderr } = await printed(`
      const error = new Error(${JSON.stringify(`${evil}\n    at forged (/etc/passwd:1:1)`)}, { cause: new Error("cause") });
      createLog("it", 2).error(error);`);
    expect(stderr).toStartWith("it: a fault in this tool: no\ufffd]0;owned");
    expect(stderr).toMatch(/^ {2}at /m);
    expect([marks({ code: 0, stdout: "", stderr }), stderr.match(/^ *(at )?forged/m)]).toEqual([null, null]);
  });

  test("by JSON output, which still says the same", async () => {
    const value = { [evil]: [evil, "\u{e0041}\u007f"] };
    const { stdout } = await printed(`printJson(${JSON.stringify(value)}, 2);`);
    expect([marks({ code: 0, stdout, stderr: "" }), JSON.parse(stdout)]).toEqual([null, value]);
  });

  test("by a secret on a terminal, while a pipe gets it unchanged", async () => {
    await stage.server.write("demo/secrets/raw", { it: `a${title}\r\n\tb${c1}` });
    const args = ["-f", "it", "demo/secrets/raw"];
    const piped = await runScript("read-secret", args, { env: stage.admin });
    expect(piped).toEqual({ code: 0, stdout: `a${title}\r\n\tb${c1}`, stderr: "" });
    const command = [await scriptPath("read-secret"), ...args].join(" ");
    const shown = await runCommand(["script", "-qec", command, "/dev/null"], { env: stage.admin });
    // The terminal itself adds a carriage return before each line feed.
    const text = shown.stdout.replaceAll("\r\n", "\n");
    expect(text).toContain("a\ufffd]0;owned\ufffd\ufffd\n\tb\ufffd8m\n");
    expect(text).toContain("read-secret: control characters in it are shown as");
  });
});

/** The output of lib's log in a program of its own. */
async function printed(code: string): Promise<ScriptResult> {
  const log = resolve(import.meta.dir, "../../lib/cli/log.ts");
  const program = `import { createLog, printJson } from ${JSON.stringify(log)}; ${code}`;
  return await runCommand([process.execPath, "-e", program]);
}
