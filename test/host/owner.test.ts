import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resolveOwnership } from "../../lib/host/owner.ts";
import { failureOf } from "../support/failure.ts";
import { temporaryFolder } from "../support/folder.ts";
import { snippet } from "../support/snippet.ts";

const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];

describe("resolveOwnership()", () => {
  test("returns undefined when nothing is asked for", () => {
    expect(resolveOwnership(undefined, undefined)).toBeUndefined();
  });

  test.each([
    ["1234", "5678", { uid: 1234, gid: 5678 }],
    ["root", "root", { uid: 0, gid: 0 }],
    ["daemon", undefined, { uid: 1, gid }],
    [undefined, "daemon", { uid, gid: 1 }],
    ["0", undefined, { uid: 0, gid }],
  ])("resolves owner %s and group %s", (owner, group, numbers) => {
    expect(resolveOwnership(owner, group)).toEqual(numbers);
  });

  test.each([
    ["nobody-has-this-name", undefined, 'there is no user "nobody-has-this-name" on this host'],
    [undefined, "nobody-has-this-name", 'there is no group "nobody-has-this-name" on this host'],
    ["", undefined, 'there is no user "" on this host'],
    ["-1", undefined, 'there is no user "-1" on this host'],
    ["--version", undefined, 'there is no user "--version" on this host'],
    ["4294967295", undefined, 'there is no user "4294967295" on this host'],
    ["99999999999", undefined, 'there is no user "99999999999" on this host'],
    ["root:x:0:0", undefined, 'there is no user "root:x:0:0" on this host'],
    ["1.5", undefined, 'there is no user "1.5" on this host'],
  ])("refuses owner %s, group %s", async (owner, group, words) => {
    const failure = await failureOf(() => resolveOwnership(owner, group));
    expect(failure.kind).toBe("usage");
    expect(failure.message).toBe(words);
  });

  test("asks a directory service that doesn't answer only once, even for many names", async () => {
    using folder = temporaryFolder();
    const hanging = join(folder.path, "getent");
    writeFileSync(hanging, `#!/bin/sh\ntrap "" TERM\necho asked >> ${hanging}.log\nexec sleep 60\n`, {
      mode: 0o755,
    });
    const code = `for (const name of ["one-of-ldap", "two-of-ldap", "three-of-ldap"]) {
      try { resolveOwnership(name, undefined); } catch (error) { console.log(error.message); }
    }`;
    const command = snippet("{ resolveOwnership }", "host/owner.ts", code);
    const inside = 'mount --bind "$0" "$(command -v getent)"; exec "$@"';
    const unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", inside, hanging];
    // Below what the hanging service takes.
    const { stdout } = Bun.spawnSync([...unshare, ...command], { timeout: 45_000 });
    expect(stdout.toString().trim().split("\n")).toEqual(
      ["one", "two", "three"].map((name) => `there is no user "${name}-of-ldap" on this host`),
    );
    expect(readFileSync(`${hanging}.log`, "utf8")).toBe("asked\n");
  });
});
