import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ExitCode } from "../../lib/cli/exit-code.ts";
import { trace } from "../crash/strace.ts";
import { isOneSentence, otherUser } from "../hostile/stage.ts";
import { startCluster } from "../support/cluster-server.ts";
import { makeFifo } from "../support/folder.ts";
import { type Host, startHost } from "../support/host.ts";
import { scriptPath } from "../support/script.ts";
import { modeOf, treeOf } from "../support/tree.ts";

const cluster = await startCluster();
afterAll(() => cluster[Symbol.asyncDispose]());

const path = "demo/secrets/service-accounts";
const content = "not asked for";

/** A host with a token that may read the secret, and with a folder for its file. */
async function newHost(): Promise<Host> {
  const host = startHost(cluster.address);
  host.put("token", await cluster.hostToken("master"));
  mkdirSync(join(host.path, "files"));
  return host;
}

const fileOf = (host: Host) => join(host.path, "files/key.pem");
const read = (host: Host, ...args: string[]) => host.run("read-secret", ["-d", fileOf(host), ...args, path]);
const ownerOf = (file: string) => {
  const { uid, gid } = lstatSync(file);
  return { uid, gid };
};

describe("read-secret --dest-path", () => {
  test("writes a field unchanged, with mode 0600, and leaves the file alone if it is the same", async () => {
    await using host = await newHost();
    const file = fileOf(host);
    const first = await read(host, "-f", "key");
    expect(first).toEqual({ code: 0, stdout: `${file} written\n`, stderr: "" });
    expect([readFileSync(file, "utf8"), modeOf(file)]).toEqual([content, "600"]);
    const tree = treeOf(join(host.path, "files"));
    expect(await read(host, "-f", "key")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(treeOf(join(host.path, "files"))).toEqual(tree);
    const { stdout } = await read(host, "-f", "key", "--json");
    expect(JSON.parse(stdout)).toEqual({ outcome: "unchanged", destination: file });
  });

  test("writes the whole answer without a final line feed, and leaves the file alone if only the id differs", async () => {
    await using host = await newHost();
    const { stdout } = await read(host, "--json");
    expect(JSON.parse(stdout)).toEqual({ outcome: "written", destination: fileOf(host) });
    expect(readFileSync(fileOf(host), "utf8")).toMatch(/^\{\n\t"request_id": ".*"not asked for".*\n\}$/s);
    const tree = treeOf(join(host.path, "files"));
    expect(await read(host)).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(treeOf(join(host.path, "files"))).toEqual(tree);
    writeFileSync(fileOf(host), readFileSync(fileOf(host), "utf8").replace("2764800", "2764801"));
    expect((await read(host)).stdout).toContain(" written\n");
    expect(readFileSync(fileOf(host), "utf8")).toContain("2764800");
  });

  test("fixes a wide mode and a wrong owner, without leaving the old content open to others", async () => {
    await using host = await newHost();
    const file = fileOf(host);
    await read(host, "-f", "key", "-o", "65534", "-g", "65534");
    expect([ownerOf(file), modeOf(file)]).toEqual([otherUser, "600"]);
    chmodSync(file, 0o644);
    expect((await read(host, "-f", "key", "-o", "65534", "-g", "65534")).stdout).toContain("written");
    expect([ownerOf(file), modeOf(file)]).toEqual([otherUser, "600"]);
    // Without --owner it belongs to the running user, as with the Go tool.
    await read(host, "-f", "key");
    expect(ownerOf(file)).toEqual({ uid: 0, gid: 0 });
    chownSync(file, 65534, 0);
    await read(host, "-f", "key");
    expect(ownerOf(file)).toEqual({ uid: 0, gid: 0 });
  });

  test("changes no other file's owner through a hard link in its place", async () => {
    await using host = await newHost();
    const other = join(host.path, "others");
    writeFileSync(other, content, { mode: 0o644 });
    linkSync(other, fileOf(host));
    expect((await read(host, "-f", "key", "-o", "65534", "-g", "65534")).code).toBe(0);
    expect([ownerOf(other), modeOf(other)]).toEqual([{ uid: 0, gid: 0 }, "644"]);
    expect(ownerOf(fileOf(host))).toEqual(otherUser);
  });

  test("sets mode and owner before the content, and the name once it is on disk", async () => {
    await using host = await newHost();
    const command = [await scriptPath("read-secret"), "-f", "key", "-p", host.config, "-d", fileOf(host)];
    const { calls } = await trace([...command, "-o", "65534", "-g", "65534", path], {
      env: host.env,
      folder: join(host.path, "files"),
    });
    const names = calls.map((call) => call.name);
    const made = calls.findIndex(({ name, path }) => name === "openat" && path?.includes(".key.pem.tmp-"));
    expect(names.slice(made, made + 6)).toEqual(["openat", "fchmod", "fchown", "write", "fsync", "close"]);
  });

  test("removes a killed run's temporary file, and not a running one's", async () => {
    await using host = await newHost();
    const [old, fresh] = ["0123456789ab", "ba9876543210"].map((id) =>
      join(host.path, `files/.key.pem.tmp-${id}`),
    );
    for (const name of [old, fresh]) writeFileSync(name ?? "", content, { mode: 0o600 });
    utimesSync(old ?? "", new Date(), new Date(Date.now() - 2 * 3_600_000));
    await read(host, "-f", "key");
    expect(readdirSync(join(host.path, "files")).sort()).toEqual([".key.pem.tmp-ba9876543210", "key.pem"]);
  });

  test("keeps the old file when the secret can't be read", async () => {
    await using host = await newHost();
    await read(host, "-f", "key");
    const tree = treeOf(join(host.path, "files"));
    expect((await read(host, "-f", "kee")).code).toBe(ExitCode.data);
    host.put("token", await cluster.hostToken("etcd"));
    expect((await read(host, "-f", "key")).code).toBe(ExitCode.noPermission);
    expect(treeOf(join(host.path, "files"))).toEqual(tree);
  });
});

describe("read-secret --dest-path refuses, in one sentence and before anything is asked,", () => {
  const odd: ReadonlyArray<readonly [string, (host: Host) => string, ExitCode, string]> = [
    ["a folder", (host) => join(host.path, "files"), ExitCode.cantCreate, "is a folder"],
    [
      "a path that ends in a slash",
      (host) => `${host.path}/files/`,
      ExitCode.usage,
      "can't be a secret's file",
    ],
    ["/dev/stdout", () => "/dev/stdout", ExitCode.cantCreate, "is a symbolic link"],
    ["/dev/null", () => "/dev/null", ExitCode.cantCreate, "is a device or a socket"],
    ["a missing folder", (host) => join(host.path, "no/key"), ExitCode.cantCreate, "no such file or folder"],
    [
      "the host's token",
      (host) => join(host.config, "token"),
      ExitCode.usage,
      "one of this host's token files",
    ],
    [
      "the init token, by another name of its folder",
      (host) => {
        symlinkSync(host.config, join(host.path, "alias"));
        return join(host.path, "alias/init-token");
      },
      ExitCode.usage,
      "one of this host's token files",
    ],
    [
      "a FIFO",
      (host) => {
        const fifo = join(host.path, "fifo");
        makeFifo(fifo);
        return fifo;
      },
      ExitCode.cantCreate,
      "is a FIFO",
    ],
    [
      "a link",
      (host) => {
        symlinkSync("/etc/passwd", join(host.path, "files/link"));
        return join(host.path, "files/link");
      },
      ExitCode.cantCreate,
      "is a symbolic link",
    ],
    [
      "another user's link to a folder",
      (host) => {
        chmodSync(host.path, 0o1777);
        symlinkSync(join(host.path, "files"), join(host.path, "theirs"));
        Bun.spawnSync(["chown", "-h", "65534:65534", join(host.path, "theirs")]);
        return join(host.path, "theirs/key");
      },
      ExitCode.cantCreate,
      "a symbolic link of another user (65534)",
    ],
  ];
  test.each(odd)("%s", async (_, make, code, sentence) => {
    await using host = await newHost();
    const destination = make(host);
    const tree = treeOf(host.path);
    const run = await host.run("read-secret", ["-f", "key", "-d", destination, path]);
    expect([run.code, run.stdout, isOneSentence(run)]).toEqual([code, "", true]);
    expect(run.stderr).toContain(sentence);
    expect(run.stderr).not.toContain(content);
    expect(host.relay.passed).toEqual([]);
    expect(treeOf(host.path)).toEqual(tree);
  });
});
