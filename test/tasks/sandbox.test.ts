import { describe, expect, test } from "bun:test";
import { Failure } from "../../lib/failure.ts";
import { fileError } from "../../lib/host/file-error.ts";
import { judgeNeeds } from "../../lib/tasks/host-status-sandbox.ts";
import { unitOf, withUnitHint } from "../../lib/tasks/own-unit.ts";
import { type Look, reach, readSandbox, settingsFor } from "../../lib/tasks/sandbox.ts";

/** A host's files: links with their targets, and missing paths. All others exist. */
function host(links: Readonly<Record<string, string>> = {}, missing: readonly string[] = []): Look {
  let looks = 0;
  return (path) => {
    // One that goes round a loop of links would never end otherwise.
    if (++looks > 10_000) throw new Error("it looks again and again");
    if (missing.includes(path)) return "missing";
    const target = links[path];
    return target === undefined ? "there" : { target };
  };
}

const root = "/var/lib/vault-helper/root";
/** Properties as systemctl of systemd 252 shows them. */
const network = {
  RootDirectory: root,
  BindPaths:
    "/etc/vault:/etc/vault:rbind -/etc/vault/token:/etc/vault/token:rbind -/etc/kubernetes/ssl:/etc/kubernetes/ssl:rbind",
  BindReadOnlyPaths: "/usr:/usr:rbind -/bin:/bin:rbind -/etc/ssl/certs:/etc/ssl/certs:rbind",
  ReadOnlyPaths: "+/etc/vault +/run",
  ProtectSystem: "strict",
  ProtectHome: "yes",
  PrivateTmp: "yes",
};
const hooks = {
  BindPaths: "-/etc/kubernetes/ssl:/etc/kubernetes/ssl:rbind",
  ReadWritePaths: "/run",
  InaccessiblePaths: "-/etc/ssl/private -/etc/vault/token",
  ProtectSystem: "strict",
  ProtectHome: "yes",
  PrivateTmp: "yes",
};

function accessOf(properties: Readonly<Record<string, string>>, path: string, look = host()) {
  const sandbox = readSandbox(properties, look);
  return sandbox === undefined ? undefined : reach(sandbox, path, look).access;
}

describe("a unit with its own root", () => {
  test.each([
    ["/etc/kubernetes/ssl", "write"],
    ["/etc/kubernetes/ssl/deep/er", "write"],
    ["/etc/kubernetes", "none"],
    ["/etc/kubernetes/sslx", "none"],
    ["/etc/vault/ca.pem", "read"],
    ["/etc/vault/token", "write"],
    ["/usr/local/bin/tell", "read"],
    ["/bin/sh", "read"],
    ["/etc/ssl/certs/ca-certificates.crt", "read"],
    ["/etc/ssl/private", "none"],
    ["/srv/tls", "none"],
    ["/root/tls", "none"],
    ["/tmp/tls", "none"],
    ["/", "none"],
  ])("can access %s: %s", (path, access) => {
    // Empty mount points in the root count for nothing.
    expect(accessOf(network, path)).toBe(access as "none");
  });

  test.each([
    ["BindPaths=/srv/tls", { BindPaths: "/srv/tls:/srv/tls:rbind" }, "/srv/tls", "write"],
    ["BindPaths=/srv", { BindPaths: "/srv:/srv:rbind" }, "/srv/tls", "write"],
    ["BindPaths=/srv/a:/srv/tls", { BindPaths: "/srv/a:/srv/tls:rbind" }, "/srv/tls", "write"],
    ["BindReadOnlyPaths=/srv/tls", { BindReadOnlyPaths: "/srv/tls:/srv/tls:rbind" }, "/srv/tls", "read"],
    ["ReadWritePaths=/srv/tls, which is the host's", { ReadWritePaths: "/srv/tls" }, "/srv/tls", "none"],
    [
      "ReadOnlyPaths=+/srv/tls over a bind",
      { BindPaths: "/srv/tls:/srv/tls:rbind", ReadOnlyPaths: "+/srv/tls" },
      "/srv/tls",
      "read",
    ],
    [
      "ReadOnlyPaths=/srv/tls, which is the host's, over a bind",
      { BindPaths: "/srv/tls:/srv/tls:rbind", ReadOnlyPaths: "/srv/tls" },
      "/srv/tls",
      "write",
    ],
    ["StateDirectory=tls", { StateDirectory: "tls other" }, "/var/lib/tls/web", "write"],
    ["a home below ProtectHome=yes", { BindPaths: "/root/tls:/root/tls:rbind" }, "/root/tls", "none"],
    [
      "a home below ProtectHome=tmpfs",
      { BindPaths: "/root/tls:/root/tls:rbind", ProtectHome: "tmpfs" },
      "/root/tls",
      "write",
    ],
    ["a folder in its own /tmp", { BindPaths: "/tmp/tls:/tmp/tls:rbind" }, "/tmp/tls", "write"],
  ])("with %s", (_, more, path, access) => {
    expect(accessOf({ ...network, ...more }, path)).toBe(access as "none");
  });

  test("does not have optional paths that are missing", () => {
    const look = host({}, ["/etc/kubernetes/ssl", "/etc/kubernetes"]);
    expect(accessOf(network, "/etc/kubernetes/ssl", look)).toBe("none");
    expect(readSandbox(network, look)?.missing).toEqual(["/etc/kubernetes/ssl"]);
  });

  test("follows links as it sees them", () => {
    const links = {
      "/etc/kubernetes/ssl/out": "/srv/tls",
      "/etc/kubernetes/ssl/in": "../ssl/deep",
      "/etc/vault/ca.pem": "../ssl/certs/ours.pem",
      "/etc/vault/loop": "loop",
      "/bin/sh": "dash",
    };
    const sandbox = readSandbox(network, host(links));
    if (sandbox === undefined) throw new Error("it has a sandbox");
    const found = (path: string) => reach(sandbox, path, host(links));
    expect(found("/etc/kubernetes/ssl/out/web")).toEqual({ access: "none", path: "/srv/tls/web" });
    expect(found("/etc/kubernetes/ssl/in")).toEqual({ access: "write", path: "/etc/kubernetes/ssl/deep" });
    expect(found("/etc/vault/ca.pem")).toEqual({ access: "read", path: "/etc/ssl/certs/ours.pem" });
    expect(found("/etc/vault/loop").access).toBe("none");
    expect(found("/bin/sh")).toEqual({ access: "read", path: "/bin/dash" });
  });
});

describe("a unit with the host's root", () => {
  test.each([
    ["/etc/kubernetes/ssl", "write"],
    ["/etc/kubernetes/pki", "read"],
    ["/run/hooked", "write"],
    ["/etc/ssl/private/web", "none"],
    ["/etc/vault/token", "none"],
    ["/srv/tls", "read"],
    ["/root/bin/hook", "none"],
    ["/tmp/x", "none"],
  ])("can access %s: %s", (path, access) => {
    expect(accessOf(hooks, path)).toBe(access as "none");
  });

  test("may make a missing path only in a folder that it can write to", () => {
    const look = host({}, ["/run/new", "/srv/new"]);
    expect(accessOf(hooks, "/run/new/web", look)).toBe("write");
    expect(accessOf(hooks, "/srv/new/web", look)).toBe("none");
  });

  test("without a sandbox can access everything", () => {
    expect(accessOf({}, "/srv/tls")).toBe("write");
    expect(accessOf({ ProtectSystem: "full" }, "/etc/kubernetes/ssl")).toBe("read");
    expect(accessOf({ ProtectSystem: "full" }, "/srv/tls")).toBe("write");
  });
});

test("a unit with its own image is not judged", () => {
  expect(accessOf({ RootImage: "/srv/image.raw" }, "/srv/tls")).toBe(undefined);
});

test("a drop-in has the settings that allow a path", () => {
  const sandboxes = [network, hooks].flatMap((one) => readSandbox(one, host()) ?? []);
  const settings = (path: string) => settingsFor(sandboxes, path, "write");
  expect(settings("/srv/tls")).toEqual(["BindPaths=/srv/tls"]);
  expect(settings("/root/tls")).toEqual(["ProtectHome=tmpfs", "BindPaths=/root/tls"]);
  expect(settings("/etc/ssl/private")).toEqual(["InaccessiblePaths=", "BindPaths=/etc/ssl/private"]);
  expect(settingsFor(sandboxes, "/srv/ca.pem", "read")).toEqual(["BindReadOnlyPaths=/srv/ca.pem"]);
});

test("a finding names each unit once, and all needs of one path together", () => {
  const look = host();
  const sandboxes = new Map(
    Object.entries({ "cert.service": network, "cert-hooks.service": hooks }).flatMap(([name, one]) => {
      const sandbox = readSandbox(one, look);
      return sandbox === undefined ? [] : [[name, sandbox] as const];
    }),
  );
  const need = (unit: string, manifest: string) =>
    ({ unit, path: "/srv/it's", wanted: "write", what: `certificate ${manifest}`, manifest }) as const;
  const all = ["a", "b"].flatMap((name) => [...sandboxes.keys()].map((unit) => need(unit, name)));
  expect(judgeNeeds([...all, need("other.service", "c")], sandboxes, look)).toEqual([
    {
      state: "wrong",
      reasons: [
        "cert.service and cert-hooks.service can't write to /srv/it's (certificate a, certificate b)",
        "a drop-in can allow it: see destination.conf in the examples",
      ],
      fix: {
        do: "other",
        text: expect.stringContaining(String.raw`printf '[Service]\nBindPaths=/srv/it'\''s\n' | tee`),
      },
      path: "/srv/it's",
      units: ["cert.service", "cert-hooks.service"],
      manifests: ["a", "b"],
    },
  ]);
});

describe("the hint of a run in a unit", () => {
  const error = (code: string) =>
    fileError("file", "make the folder", "/srv/tls", Object.assign(new Error(code), { code }));
  const inCert = "1:name=systemd:/system.slice/cert.service\n0::/system.slice/cert.service\n";

  test.each([
    [inCert, "cert.service"],
    ["0::/machine.slice/x.scope/system.slice/cert-hooks@web.service", "cert-hooks@web.service"],
    ["0::/system.slice/system-cert.slice/cert@web.service", "cert@web.service"],
    ["0::/user.slice/user-0.slice/session-1.scope", undefined],
    ["0::/system.slice/buildkite-agent.service", undefined],
    ["0::/system.slice/cert.service/payload", undefined],
    ["", undefined],
  ])("knows the unit of %j", (groups, unit) => {
    expect(unitOf(groups)).toBe(unit);
  });

  test("names the unit, the folder and the drop-in if the sandbox does not allow the folder", () => {
    const { message, hint, kind } = withUnitHint(error("EROFS"), "/srv/tls", inCert);
    expect([kind, message]).toEqual([
      "file",
      "can't make the folder /srv/tls: the file system is read-only (EROFS)",
    ]);
    expect(hint).toBe(
      "the sandbox of cert.service does not allow /srv/tls: give cert.service and cert-hooks.service the drop-in " +
        "destination.conf (see the examples) with BindPaths=/srv/tls, as vault-helper status shows",
    );
    const instance = withUnitHint(error("ENOENT"), "/srv/tls", "0::/system.slice/cert-hooks@web.service");
    expect(instance.hint).toContain("give cert@web.service and cert-hooks@web.service the drop-in");
  });

  test("is not given for another fault, another file, or a run by hand", () => {
    for (const failure of [error("ENOSPC"), error("EACCES"), new Failure("data", "/srv/tls")])
      expect(withUnitHint(failure, "/srv/tls", inCert)).toBe(failure);
    const failure = error("EROFS");
    expect(withUnitHint(failure, "/srv/other", inCert)).toBe(failure);
    expect(withUnitHint(failure, "/srv/tls", "0::/user.slice/session-1.scope")).toBe(failure);
  });
});
