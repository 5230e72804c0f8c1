/** How much the outbox keeps, and how much of it is under way at once. */

export type OutboxLimits = {
  /** Log lines are refused while the file is larger than this. */
  maxBytes: number;
  /** How much may be sent and not yet acknowledged. */
  windowFrames: number;
  windowBytes: number;
  /** How much acknowledged ballast the file may carry before it is rewritten. */
  compactBytes: number;
};

export const defaultOutboxLimits: OutboxLimits = {
  maxBytes: 256 * 1024 * 1024,
  windowFrames: 64,
  windowBytes: 4 * 1024 * 1024,
  compactBytes: 4 * 1024 * 1024,
};
