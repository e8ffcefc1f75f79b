// Every npm script calls this. It runs Bun with the given arguments, after installing node_modules if they are missing
// or differ from package-lock.json. It is plain JavaScript for Node, because a fresh clone has nothing else.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const marker = join(root, "node_modules", ".installed-lock");
const wanted = hash(readFileSync(join(root, "package-lock.json")));

if (!isInstalled()) {
  const release = await lock();
  // Another run may have installed them while this one waited.
  if (!isInstalled()) install();
  release();
}
runBun(process.argv.slice(2));

function isInstalled() {
  try {
    return readFileSync(marker, "utf8") === wanted;
  } catch {
    return false;
  }
}

function install() {
  console.error("Installing node_modules");
  // With NODE_ENV=production npm would not install Bun.
  const npm = spawnSync("npm", ["ci", "--include=dev"], { cwd: root, encoding: "utf8" });
  if (npm.status !== 0) {
    console.error(npm.error ? `npm can't be run: ${npm.error.message}` : `${npm.stdout}${npm.stderr}`);
    process.exit(npm.status || 1);
  }
  writeFileSync(marker, wanted);
}

/**
 * Allows only one install at a time in a clone. The lock is the name of an abstract socket (Linux), which the kernel
 * frees when its holder ends. A lock file could be left behind, and in node_modules npm would delete it.
 */
async function lock() {
  if (process.platform !== "linux") return () => {};
  const name = `\0vault-helper-install-${hash(root)}`;
  for (let waited = false; ; waited = true) {
    const server = createServer();
    const isOurs = await new Promise((resolve, reject) => {
      server.once("error", (error) => (error.code === "EADDRINUSE" ? resolve(false) : reject(error)));
      server.listen(name, () => resolve(true));
    });
    if (isOurs) return () => server.close();
    if (!waited) console.error("Another run is installing node_modules: waiting for it");
    await sleep(200);
  }
}

function runBun(args) {
  const bun = spawn(join(root, "node_modules", ".bin", "bun"), args, { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => bun.kill(signal));
  bun.on("error", (error) => {
    console.error(`Bun can't be run: ${error.message}`);
    process.exit(1);
  });
  bun.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

function hash(data) {
  return createHash("sha256").update(data).digest("hex").slice(0, 32);
}
