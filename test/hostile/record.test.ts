import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, lchownSync, readFileSync, realpathSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { temporaryFolder } from "../support/folder.ts";
import { runScript } from "../support/script.ts";
import { otherUser, type Stage, setStage, signPath } from "./stage.ts";

// The record of the request is beside a certificate set. The owner of the files must not be able to change it.

let stage: Stage;
beforeAll(async () => {
  stage = await setStage();
});
afterAll(() => stage[Symbol.asyncDispose]());

/** A certificate of another user, and the record beside it. */
async function give() {
  const folder = temporaryFolder();
  chmodSync(folder.path, 0o755);
  const destination = join(folder.path, "ssl/it");
  const issue = (...flags: string[]) =>
    runScript("issue-cert", [...flags, signPath, "it", destination], { env: stage.admin });
  const { code, stderr } = await issue("-o", "65534", "-g", "65534");
  if (code !== 0) throw new Error(stderr);
  const key = realpathSync(`${destination}-key.pem`);
  const record = join(dirname(key), "request.json");
  return { destination, issue, key, record, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

describe("The record beside a set", () => {
  test("belongs to root, whoever owns the files", async () => {
    using given = await give();
    expect([given.key, given.record].map((path) => statSync(path).uid)).toEqual([otherUser.uid, 0]);
  });

  test("is ignored if it belongs to another user: it leads to no reason, command or request", async () => {
    using given = await give();
    const { signPath: before, ...rest } = JSON.parse(readFileSync(given.record, "utf8"));
    expect(before).toBe(signPath);
    const forged = { ...rest, signPath: "demo/../sys/sign/admin\nforged" };
    writeFileSync(given.record, JSON.stringify(forged));
    lchownSync(given.record, otherUser.uid, otherUser.gid);
    stage.relay.reset();
    const args = ["--config-path", dirname(given.destination), "--destination", given.destination, "--json"];
    const status = JSON.parse((await runScript("status", args, { env: stage.admin })).stdout);
    expect([status.server.state, status.certificates[0].signPath, status.certificates[0].state]).toEqual([
      "ok",
      null,
      "ok",
    ]);
    expect(await given.issue("--if-due")).toEqual({
      code: 0,
      stdout: expect.stringContaining("is not due"),
      stderr: "",
    });
  });
});
