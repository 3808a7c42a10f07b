// What the API's documents look like: the mirror of control/api/src/types, by the same names. `npm run drift` compares
// it with the OpenAPI document that is generated from there. Times are RFC 3339 in UTC, volumes bytes.

export type Time = string;

// Peers.

export type Owner = "file" | "control";
export type PeerState = "init" | "handshaking" | "connected" | "rekeying" | "disconnected" | "absent";
export type Health = "healthy" | "idle" | "degraded" | "absent";

export interface Live {
  state: PeerState;
  state_since: Time | null;
  state_reason: string;
  health: Health;
  trouble: string | null;
  endpoint: string | null;
  last_handshake_at: Time | null;
  rx_bytes: number;
  tx_bytes: number;
  rx_bytes_total: number;
  tx_bytes_total: number;
  latency_ms: number | null;
  handshake_ms: number | null;
  shard: number | null;
}

export interface Peer {
  public_key: string;
  name: string | null;
  groups: string[];
  allowed_ips: string[];
  endpoint: string | null;
  persistent_keepalive: number | null;
  has_preshared_key: boolean;
  disabled: boolean;
  expires_at: Time | null;
  notes: string;
  owner: Owner;
  created_at: Time | null;
  updated_at: Time | null;
  conflict: string | null;
  live: Live;
}

export interface PeerInput {
  name: string;
  public_key?: string;
  preshared_key?: string | null;
  groups?: string[];
  allowed_ips?: string[];
  endpoint?: string | null;
  persistent_keepalive?: number | null;
  disabled?: boolean;
  expires_at?: Time | null;
  notes?: string;
  full_tunnel?: boolean;
}

export interface PeerPatch {
  name?: string;
  preshared_key?: string | null;
  groups?: string[] | null;
  allowed_ips?: string[];
  endpoint?: string | null;
  persistent_keepalive?: number | null;
  disabled?: boolean;
  expires_at?: Time | null;
  notes?: string | null;
}

export interface Peers {
  items: Peer[];
  next_cursor: string | null;
  total: number;
}

export interface PeerCreated {
  peer: Peer;
  config: string | null;
}

export interface PeerConfig {
  config: string;
}

export type BulkOperation = { op: "put"; public_key: string; peer: PeerInput } | { op: "patch"; public_key: string; peer: PeerPatch } | { op: "delete"; public_key: string };

export interface BulkDone {
  created: number;
  changed: number;
  removed: number;
}

export interface Group {
  name: string;
  peers: number;
}

export interface History {
  step_s: number;
  /** `[unix_s, rx_bytes, tx_bytes, handshakes]` of each step. */
  points: [number, number, number, number][];
}

export type HistoryRange = "1h" | "24h" | "7d" | "30d";

export interface Diagnosis {
  state: PeerState;
  state_reason: string;
  findings: Finding[];
  probe: Probe | null;
}

export interface Finding {
  code: string;
  certainty: "certain" | "likely" | "possible";
  summary: string;
  detail: string;
  remedy: string;
}

export interface Probe {
  handshake: boolean;
  handshake_ms: number | null;
  small_ms: number | null;
  large_ms: number | null;
  large_bytes: number | null;
  note: string | null;
}

// The gateway.

export interface Status {
  control: ControlStatus;
  dataplane: DataPlaneStatus | null;
  peers: PeerCounts;
  alerts: number;
}

export interface ControlStatus {
  version: string;
  started_at: Time;
  store: "ok" | "last_good_copy" | "read_only" | "full";
  store_trouble: string | null;
  pending: number;
}

export interface DataPlaneStatus {
  interface: string;
  version: string;
  pid: number;
  started_at: Time;
  revision: number;
  public_key: string | null;
  listen_port: number;
  fwmark: number;
  mtu: number;
  addresses: string[];
  client_endpoint: string | null;
  dns: string[];
  aead: string;
  aead_best: string;
  steering: string;
  forwarding: boolean;
  warnings: string[];
  handshake_queue: number;
  shards: Shard[];
  refused: RefusedHandshake[];
}

export interface Shard {
  shard: number;
  active_peers: number;
  under_load: boolean;
  opened: number;
  sealed: number;
  handed_over: number;
  handshakes: number;
  cookie_replies: number;
  drops: Record<string, number>;
  ports: Port[];
}

export interface Port {
  shard: number;
  role: string;
  queue: string | null;
  mode: string;
  rx_frames: number;
  rx_bytes: number;
  tx_packets: number;
  tx_bytes: number;
  errors: Record<string, number>;
}

export interface Device {
  device: string;
  role: string;
  attached: string;
}

export interface RefusedHandshake {
  at: Time;
  source: string;
  why: string;
  peer: string | null;
  count: number;
}

export interface PeerCounts {
  total: number;
  connected: number;
  handshaking: number;
  disconnected: number;
  absent: number;
  degraded: number;
}

export interface Throughput {
  step_s: number;
  /** `[unix_s, rx_bps, tx_bps, rx_pps, tx_pps, handshakes, drops]` of each step. */
  points: [number, number, number, number, number, number, number][];
}

export interface Topology {
  nodes: TopologyNode[];
  links: TopologyLink[];
  left_out: number;
}

export interface TopologyNode {
  id: string;
  kind: "gateway" | "peer" | "network";
  label: string;
  public_key: string | null;
  state: PeerState | null;
  groups: string[];
}

export interface TopologyLink {
  from: string;
  to: string;
  endpoint: string | null;
  rx_bps: number;
  tx_bps: number;
  latency_ms: number | null;
}

export interface Alert {
  id: string;
  severity: "critical" | "warning" | "info";
  kind: string;
  since: Time;
  summary: string;
  detail: string;
  remedy: string;
  public_key: string | null;
}

// Access rules.

export interface Rule {
  name: string | null;
  action: "accept" | "deny";
  from: string[];
  to: string[];
  protocol: string | null;
  ports: string[];
  log: boolean;
  owner: Owner;
  packets: number | null;
}

export interface RuleInput {
  name?: string | null;
  action: "accept" | "deny";
  from: string[];
  to: string[];
  protocol?: string | null;
  ports: string[];
  log: boolean;
}

// Who may do what.

export type Role = "administrator" | "operator" | "viewer";

export type Scope =
  | "peers:read"
  | "peers:write"
  | "rules:read"
  | "rules:write"
  | "status:read"
  | "events:read"
  | "audit:read"
  | "users:read"
  | "users:write"
  | "tokens:write"
  | "settings:write"
  | "backup"
  | "metrics:read";

export interface Session {
  name: string;
  role: Role;
  scopes: Scope[];
  csrf_token: string | null;
  must_change_password: boolean;
  expires_at: Time | null;
}

export interface User {
  name: string;
  role: Role;
  disabled: boolean;
  must_change_password: boolean;
  created_at: Time;
  last_login_at: Time | null;
}

export interface Token {
  id: string;
  name: string;
  role: Role;
  scopes: Scope[];
  created_at: Time;
  created_by: string;
  expires_at: Time | null;
  last_used_at: Time | null;
}

export interface TokenCreated {
  token: string;
  id: string;
  name: string;
  role: Role;
  scopes: Scope[];
  expires_at: Time | null;
}

// Administration.

export interface Settings {
  session_hours: number;
  session_idle_minutes: number;
  alerts: AlertThresholds;
  metrics_names: "12177" | "mindflavor";
}

export interface AlertThresholds {
  peer_gone_s: number;
  refused_handshakes_per_minute: number;
  cookie_replies_per_minute: number;
  decrypt_failures_per_minute: number;
  drops_per_mille: number;
}

export interface DiffEntry {
  op: "add" | "remove" | "replace";
  path: string;
  before: unknown;
  after: unknown;
}

export interface PendingChange {
  id: string;
  made_at: Time;
  made_by: string;
  reverts_at: Time;
  diff: DiffEntry[];
}

export interface Restored {
  peers: number;
  rules: number;
  users: number;
  tokens: number;
  made_at: Time;
}

export interface AuditPage {
  items: AuditEntry[];
  next_cursor: string | null;
  oldest_hash: string | null;
  newest_hash: string | null;
}

export interface AuditEntry {
  number: number;
  at: Time;
  actor: string;
  source: string;
  action: string;
  target: string;
  before: unknown;
  after: unknown;
  hash: string;
}

export interface AuditVerification {
  intact: boolean;
  entries: number;
  oldest: number | null;
  newest: number | null;
  oldest_hash: string | null;
  newest_hash: string | null;
  trouble: string | null;
}

export interface FieldProblem {
  field: string;
  value?: unknown;
  expected: string;
}

// Events.

export interface StatusTick {
  unix_s: number;
  dataplane: boolean;
  rx_bps: number;
  tx_bps: number;
  rx_pps: number;
  tx_pps: number;
  handshakes: number;
  drops: number;
  peers: PeerCounts;
  alerts: number;
}

export interface PeerStateChanged {
  at: Time;
  public_key: string;
  name: string | null;
  state: PeerState;
  reason: string;
}

export interface Changed {
  at: Time;
  actor: string;
  owner: Owner;
  peers: string[] | null;
  rules: boolean;
  administration: boolean;
}

export interface AlertChanged {
  raised: boolean;
  alert: Alert;
}

export interface DeniedFlow {
  at: Time;
  public_key: string | null;
  rule: string | null;
  source: string;
  destination: string;
  protocol: string;
  port: number | null;
}

export interface PeerTick {
  unix_s: number;
  public_key: string;
  live: Live;
}

export interface LostEvents {
  count: number | null;
}

/** The events of the stream by their names. */
export interface StreamEvents {
  status: StatusTick;
  peer_state: PeerStateChanged;
  refused: RefusedHandshake;
  change: Changed;
  alert: AlertChanged;
  denied: DeniedFlow;
  peer: PeerTick;
  lost: LostEvents;
}
