/**
 * What fixes a finding, as data. The code that shows a status merges several actions, then writes each as a command line.
 */
export type Action =
  | { readonly do: "renew token"; readonly configPath: string }
  /** Renews the due certificates of a folder of manifests, and runs their hooks. */
  | {
      readonly do: "renew manifests";
      readonly configDir: string;
      readonly configPath: string;
      /** The server's CAs have changed. Without this, runs would notice only at the weekly CA check. */
      readonly refreshCa: boolean;
    }
  | { readonly do: "run hooks"; readonly configDir: string; readonly configPath: string }
  | ({ readonly do: "renew one" } & CertificateCall)
  /** Enables timers from now on, also after each boot. */
  | { readonly do: "enable"; readonly timers: readonly string[] }
  /** Unmasks a unit. A timer is enabled afterwards. */
  | { readonly do: "unmask"; readonly unit: string; readonly isTimer: boolean }
  | { readonly do: "start"; readonly unit: string }
  | { readonly do: "read the journal"; readonly unit: string }
  /** A command line or a sentence, written by code that knows more. */
  | { readonly do: "other"; readonly text: string };

/** A direct call that issues one certificate again as before. */
export interface CertificateCall {
  readonly configPath: string;
  readonly refreshCa: boolean;
  /** Undefined if it is not known. */
  readonly signPath: string | undefined;
  readonly names: {
    readonly commonName: string;
    readonly organisations: readonly string[];
    readonly dnsNames: readonly string[];
    readonly ipAddresses: readonly string[];
  };
  readonly caChain: boolean;
  readonly destination: string;
  /** The owner of its files, if one was asked for. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  /** The mode of the key, if one was asked for. */
  readonly keyMode: number | undefined;
}
