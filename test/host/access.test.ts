import { describe, expect, test } from "bun:test";
import { chmodSync, chownSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { closedFolder } from "../../lib/host/access.ts";
import { temporaryFolder } from "../support/folder.ts";

const etcd = { uid: 1234, gid: 1234 };

/** A folder `ssl` in a folder `home`, each with an owner and a mode. */
function folders(home: readonly [uid: number, mode: number], ssl: readonly [uid: number, mode: number]) {
  const root = temporaryFolder();
  chmodSync(root.path, 0o755);
  const path = join(root.path, "home/ssl");
  mkdirSync(path, { recursive: true });
  for (const [name, [uid, mode]] of [
    [path, ssl],
    [join(root.path, "home"), home],
  ] as const) {
    chownSync(name, uid, uid);
    chmodSync(name, mode);
  }
  return { path, destination: join(path, "etcd"), [Symbol.dispose]: root[Symbol.dispose] };
}

describe("closedFolder()", () => {
  test("finds the files' own folder, if it is another user's and closed", () => {
    using it = folders([0, 0o755], [0, 0o700]);
    expect(closedFolder(it.destination, etcd)).toEqual({ path: it.path, mode: "700" });
  });

  test("finds a folder above only if release 1.0.0 left it closed", () => {
    using left = folders([0, 0o2700], [0, 0o755]);
    expect(closedFolder(left.destination, etcd)).toEqual({ path: join(left.path, ".."), mode: "2700" });
    using meant = folders([0, 0o700], [0, 0o755]);
    expect(closedFolder(meant.destination, etcd)).toBeUndefined();
  });

  test.each([
    ["its own", [1234, 0o700], etcd],
    ["open to it", [0, 0o755], etcd],
    ["another user's, for root, who can enter any folder", [1234, 0o700], { uid: 0, gid: 0 }],
  ] as const)("finds nothing in a folder that is %s", (_, ssl, owner) => {
    using it = folders([0, 0o755], ssl);
    expect(closedFolder(it.destination, owner)).toBeUndefined();
  });
});
