import { type Api, fields } from "./api.ts";

/** Capabilities by path, as policies have them. */
export type Rights = Readonly<Record<string, readonly string[]>>;

/** A token with these rights and the policy `default`. */
export async function tokenWith(admin: Api, rights: Rights): Promise<string> {
  const policy = Object.entries(rights)
    .map(([path, capabilities]) => `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }\n`)
    .join("");
  await admin.write("sys/policies/acl/limited", { policy });
  const { auth } = await admin.write("auth/token/create", { policies: ["limited"] });
  return String(fields(auth).client_token);
}
