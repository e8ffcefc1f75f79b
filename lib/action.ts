/**
 * What fixes a finding, as data. The code that shows a status merges several actions, then writes each as a command line.
 */
export type Action =
  | { readonly do: "renew token"; readonly configPath: string }
  /** Renews what is due of a folder of manifests, and runs their hooks. */
  | {
      readonly do: "renew manifests";
      readonly configDir: string;
      readonly configPath: string;
      /** The server's CA has changed, and no run would ask for it before its weekly check. */
      readonly refreshCa: boolean;
    }
  | { readonly do: "run hooks"; readonly configDir: string; readonly configPath: string }
  | ({ readonly do: "renew one" } & CertificateCall)
  /** Has timers fire from now on, and after each boot. */
  | { readonly do: "enable"; readonly timers: readonly string[] }
  /** A timer is enabled afterwards. */
  | { readonly do: "unmask"; readonly unit: string; readonly isTimer: boolean }
  | { readonly do: "start"; readonly unit: string }
  | { readonly do: "read the journal"; readonly unit: string }
  /** A command line or a sentence that was written where more is known. */
  | { readonly do: "other"; readonly text: string };

/** A call that has one certificate issued as it was before. */
export interface CertificateCall {
  readonly configPath: string;
  readonly refreshCa: boolean;
  /** Undefined if nobody knows. */
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
