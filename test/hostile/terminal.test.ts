import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { opensslEcKey } from "../support/openssl.ts";
import { runScript, type ScriptResult } from "../support/script.ts";
import { startScripted } from "../support/scripted.ts";
import { createCa } from "../support/set.ts";
import { type Stage, setStage, signPath } from "./stage.ts";

// What others have named or said is shown to a person: it may not write on the terminal as it likes.

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

const title = "\u001b]0;owned\u0007";
const c1 = "\u009b8m";
const turned = "\u202eedoc";

/** All that is no text, but for line feeds. */
const marks = ({ stdout, stderr }: ScriptResult) => (stdout + stderr).match(/[^\P{Cc}\n]|\p{Cf}/gu);

describe("No control character of others reaches the terminal", () => {
  test("by the names of a secret's fields", async () => {
    await stage.server.write("demo/secrets/odd", { [`a${title}${c1}`]: "x", [`b${turned}`]: "y" });
    const run = await runScript("read-secret", ["-f", "none", "demo/secrets/odd"], { env: stage.admin });
    expect(run.stderr).toContain('it has "a\\u001b]0;owned\\u0007\ufffd8m", "b\ufffdedoc"');
    expect([run.code, marks(run)]).toEqual([65, null]);
  });

  test("by the names in a certificate, where a command is told that mends it", async () => {
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
      `to mend it: issue-cert --config-path ${folder.path} --if-due -n 'its\ufffdedoc'`,
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
});
