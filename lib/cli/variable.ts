export type Environment = Readonly<Record<string, string | undefined>>;

/** The value of `BAO_name`, else of `VAULT_name`, as in OpenBao. An empty variable counts as not set. */
export function variable(env: Environment, name: string): string | undefined {
  return env[variableName(env, name)] || undefined;
}

/** The name of the variable that is used, for messages. */
export function variableName(env: Environment, name: string): string {
  return env[`BAO_${name}`] ? `BAO_${name}` : `VAULT_${name}`;
}
