import { readFileSync } from "node:fs";

// The least that a program on this runtime has to do to renew a token: one file, one request, no check.
// floor-renew CONFIG-FOLDER

async function main(): Promise<void> {
  const [, , folder = ""] = process.argv;
  const { VAULT_ADDR = "", VAULT_CACERT = "" } = process.env;
  const response = await fetch(`${VAULT_ADDR}/v1/auth/token/renew-self`, {
    method: "POST",
    headers: { "X-Vault-Token": readFileSync(`${folder}/token`, "utf8").trim() },
    body: "{}",
    tls: { ca: readFileSync(VAULT_CACERT, "utf8") },
  });
  const { auth } = (await response.json()) as { auth: { lease_duration: number } };
  console.log(`token renewed, ${auth.lease_duration} s left`);
  process.exit(0);
}

void main();
