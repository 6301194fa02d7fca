/** What a gate reads and what it answers, for one loss token. */

export interface GateInput {
  /** A */
  advantage: number;
  /** ρ = exp(x) of the token's unit. */
  ratio: number;
  /** x, clamped. */
  logRatio: number;
  /** x was outside its clamp: ∂f/∂x is 0. */
  clamped: boolean;
  /** log π and log π_old of the token itself, whatever the level of the ratio. */
  logProb: number;
  oldLogProb: number;
  /** c of the token's turn; 1 where there is none. */
  clipScale: number;
  /** u, the bounded regression's target before its sigmoid; 0 where there is none. */
  ratioTarget: number;
}

export interface GateTerm {
  /** f, to be minimised. */
  value: number;
  /** ∂f/∂x through the ratio; 0 where its clamp or a bound is active. */
  gradient: number;
  /** ∂f/∂log π of the token itself where log π stands in f beside a detached weight. */
  direct: number;
  clippedLow: boolean;
  clippedHigh: boolean;
  clippedDual: boolean;
  /** The gate is closed: no gradient. */
  masked: boolean;
}

export const NO_TERM: GateTerm = Object.freeze({
  value: 0,
  gradient: 0,
  direct: 0,
  clippedLow: false,
  clippedHigh: false,
  clippedDual: false,
  masked: false,
});
