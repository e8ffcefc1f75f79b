export type Environment = Readonly<Record<string, string | undefined>>;

/** A variable under OpenBao's name or Vault's; the first wins, as it does there. An empty one is not set. */
export function variable(env: Environment, name: string): string | undefined {
  return env[variableName(env, name)] || undefined;
}

/** The one that is set: a sentence about it sends nobody to the other. */
export function variableName(env: Environment, name: string): string {
  return env[`BAO_${name}`] ? `BAO_${name}` : `VAULT_${name}`;
}
