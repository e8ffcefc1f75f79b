/** Runs openssl and returns its output. The input may be a text, so that no key has to be written to disk. */
export function openssl(args: readonly string[], input = ""): string {
  const { stdout, stderr, exitCode } = Bun.spawnSync(["openssl", ...args], { stdin: Buffer.from(input) });
  if (exitCode !== 0) throw new Error(`openssl ${args.join(" ")} ended with ${exitCode}: ${stderr}`);
  return stdout.toString();
}

/** A private key from `openssl genpkey`, in PKCS #8. */
export function opensslKey(algorithm: string, ...options: string[]): string {
  return openssl(["genpkey", "-algorithm", algorithm, ...options.flatMap((option) => ["-pkeyopt", option])]);
}

export function opensslEcKey(curve: string): string {
  return opensslKey("EC", `ec_paramgen_curve:${curve}`);
}

export function opensslRsaKey(bits: number): string {
  return opensslKey("RSA", `rsa_keygen_bits:${bits}`);
}
