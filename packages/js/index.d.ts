export interface StartOptions {
  /** The program. Default: WEBPUBSUB_EMULATOR_BINARY, the installed package of this platform, or webpubsub in the PATH. */
  binary?: string;
  /** Where to listen. Default: localhost and a free port. */
  addr?: string;
  /** The hub that upstream and anonymous are about. Default: chat. */
  hub?: string;
  /** The URL of the event handler. Default: none. */
  upstream?: string;
  /** Clients of the hub may connect without a token. Default: false. */
  anonymous?: boolean;
  /** More flags of `webpubsub emulator`. */
  args?: string[];
  /** More environment variables. */
  env?: Record<string, string>;
  /** Is called with what the program prints. */
  log?: (text: string) => void;
  /** In milliseconds. Default: 20,000. */
  timeout?: number;
}

export type EntryKind = 'connected' | 'interrupted' | 'recovered' | 'disconnected' | 'rejected' | 'joined' | 'left' | 'sent' | 'event' | 'eventFailed' | 'eventRetried' | 'rest' | 'reloaded' | 'fault' | 'control';

export interface Entry {
  id: number; time: string; kind: EntryKind; text: string; warning: boolean;
  cause?: number; causeKind?: 'handshake' | 'frame' | 'rest' | 'control' | 'replay';
  hub?: string; connectionId?: string; userId?: string; name?: string; status?: number;
  receivers?: number; bytes?: number; durationMs?: number; reason?: string;
  detail: 'kept' | 'dropped' | 'none'; repeats?: number; importedFrom?: number;
}
export interface EntryDetail extends Entry { content?: Record<string, unknown> }

export interface Connection {
  hub: string; id: string; userId?: string; protocol: 'simple' | 'json' | 'jsonReliable' | 'protobuf' | 'protobufReliable' | 'mqtt';
  subprotocol?: string; state: 'open' | 'interrupted'; connectedAt: string; groupCount: number; groups: string[]; queued: number; unacked: number;
}
export interface ConnectionDetail extends Connection { roles: string[]; revoked?: { permission: string; group?: string }[]; queuedBytes: number }

export interface Fault {
  at: 'handshake' | 'recovery' | 'receive' | 'send';
  action:
    | { type: 'resetConnection' | 'stall' | 'failRecovery' }
    | { type: 'delay'; delayMs: number }
    | { type: 'rejectHandshake'; status: number }
    | { type: 'close'; code: number; reason?: string };
  hub?: string; userId?: string; connectionId?: string; frame?: string; skip?: number; times?: number;
}
export interface NetworkConditions {
  /** How long bytes are on their way between the emulator and a client, in each direction. Default: 0. */
  latencyMs?: number;
  /** The upper bound of a random time that is added. Default: 0. */
  jitterMs?: number;
  /** Bytes per second of each client, in each direction. Default: 0, no limit. */
  bandwidth?: number;
  /** How long each request to an event handler is on its way. Default: 0. */
  handlerLatencyMs?: number;
}
export interface InjectedFault { id: number; hits(): Promise<number>; remove(): Promise<void> }

export interface Message { dataType?: 'text' | 'json' | 'binary'; data: unknown; ttlSeconds?: number; filter?: string; excluded?: string[] }

export interface HubSettings {
  eventHandlers?: { urlTemplate: string; userEventPattern?: string; systemEvents?: ('connect' | 'connected' | 'disconnected')[] }[];
  eventListeners?: {
    filter?: { type?: 'EventName'; userEventPattern?: string; systemEvents?: ('connected' | 'disconnected')[] };
    endpoint:
      | { type: 'EventHub'; fullyQualifiedNamespace?: string; connectionString?: string; eventHubName: string }
      | { type: 'Http'; url: string };
  }[];
  anonymousConnectPolicy?: 'allow' | 'deny';
  webSocketKeepAliveIntervalInSeconds?: number;
}

export class ControlError extends Error { readonly status: number; readonly code: string }

export class Emulator {
  constructor(ready: { url: string; connectionString: string; controlUrl: string; controlToken: string; pid?: number; version?: string });
  readonly url: string;
  readonly connectionString: string;
  readonly controlUrl: string;
  readonly pid: number;
  readonly version: string;
  request(method: string, path: string, body?: unknown): Promise<any>;
  info(): Promise<Record<string, unknown>>;
  hubs(): Promise<{ name: string; connections: number; groups: number; users: number; [more: string]: unknown }[]>;
  connections(query?: { hub?: string; userId?: string; group?: string; protocol?: string; state?: string; search?: string }): Promise<Connection[]>;
  groups(query?: { hub?: string; search?: string }): Promise<{ hub: string; name: string; connections: number }[]>;
  users(query?: { hub?: string; search?: string }): Promise<{ hub: string; userId: string; connections: number }[]>;
  connection(hub: string, id: string): Promise<ConnectionDetail>;
  setHub(hub: string, settings: HubSettings): Promise<HubSettings>;
  clientUrl(options: { hub: string; userId?: string; roles?: string[]; groups?: string[]; minutes?: number; clientType?: 'default' | 'mqtt' | 'socketIO' }): Promise<string>;
  send(hub: string, message: Message, to?: { group?: string; userId?: string; connectionId?: string }): Promise<{ receivers: number }>;
  closeConnection(hub: string, id: string, options?: { code?: number; reason?: string }): Promise<{ count: number }>;
  resetConnection(hub: string, id: string): Promise<{ count: number }>;
  inject(fault: Fault): Promise<InjectedFault>;
  setNetwork(conditions: NetworkConditions): Promise<Required<NetworkConditions>>;
  journal(query?: { hub?: string; connectionId?: string; userId?: string; kind?: string; warning?: boolean; search?: string }): Promise<Entry[]>;
  entry(id: number): Promise<EntryDetail>;
  entries(options?: { signal?: AbortSignal }): AsyncGenerator<Entry>;
  waitFor(match: (entry: Entry) => boolean, options?: { timeout?: number }): Promise<Entry>;
  waitIdle(options?: { timeout?: number }): Promise<void>;
  reset(): Promise<void>;
  stop(): Promise<void>;
}

export function startEmulator(options?: StartOptions): Promise<Emulator>;
export function findBinary(option?: string): string;
