/**
 * The policy: a softmax over the vocabulary from one hidden layer, with its gradient written out by hand.
 *
 *   hidden = tanh(sum over the features f of embedding[f, features[f]])                                  [H]
 *   logits = output * hidden + bias, and for every copy slot s:  logits[features[s]] += copy[s] * hidden    [V]
 *
 * The library needs nothing of this but the logits, and gives back dLoss/dLogits: any network takes the place of this one.
 */

import type { Random } from '../shared/random.js';
import { copySlots, featureCount } from './context.js';
import { none, vocabularySize } from './tokens.js';

const V = vocabularySize;
const H = 64;
const embeddingSize = featureCount * V * H;
const outputAt = embeddingSize;
const biasAt = outputAt + V * H;
const copyAt = biasAt + V;
const parameterCount = copyAt + copySlots.length * H;

export class Policy {
  /** Embedding [F, V, H], output [V, H], bias [V], copy [S, H], one after the other: one array is all that Adam needs. */
  readonly parameters = new Float64Array(parameterCount);
  readonly gradient = new Float64Array(parameterCount);
  private hidden = new Float64Array(0);
  private readonly dHidden = new Float64Array(H);

  constructor(random: Random) {
    for (let i = 0; i < embeddingSize; i++) this.parameters[i] = 0.1 * random.normal();
    for (let i = outputAt; i < biasAt; i++) this.parameters[i] = random.normal() / Math.sqrt(H) / 4;
  }

  /** features [N, F] to logits [N, V]; keeps the hidden layer for `backward`. */
  forward(features: Int32Array): Float32Array {
    const rows = features.length / featureCount;
    const logits = new Float32Array(rows * V);
    if (this.hidden.length < rows * H) this.hidden = new Float64Array(rows * H);
    const { parameters, hidden } = this;
    for (let n = 0; n < rows; n++) {
      const h = n * H;
      hidden.fill(0, h, h + H);
      for (let f = 0; f < featureCount; f++) {
        const e = (f * V + features[n * featureCount + f]) * H;
        for (let j = 0; j < H; j++) hidden[h + j] += parameters[e + j];
      }
      for (let j = 0; j < H; j++) hidden[h + j] = Math.tanh(hidden[h + j]);
      for (let v = 0; v < V; v++) logits[n * V + v] = parameters[biasAt + v] + this.dot(outputAt + v * H, h);
      copySlots.forEach((f, s) => {
        const word = features[n * featureCount + f];
        if (word !== none) logits[n * V + word] += this.dot(copyAt + s * H, h);
      });
    }
    return logits;
  }

  /** Adds to `gradient` what dLoss/dLogits [N, V] means for the parameters; same features as the last `forward`. */
  backward(features: Int32Array, dLogits: Float32Array): void {
    const { dHidden, gradient, hidden } = this;
    for (let n = 0; n < features.length / featureCount; n++) {
      const h = n * H;
      dHidden.fill(0);
      for (let v = 0; v < V; v++) {
        const d = dLogits[n * V + v];
        if (d === 0) continue;
        gradient[biasAt + v] += d;
        this.backwardDot(outputAt + v * H, h, d);
      }
      copySlots.forEach((f, s) => {
        const word = features[n * featureCount + f];
        if (word !== none) this.backwardDot(copyAt + s * H, h, dLogits[n * V + word]);
      });
      for (let j = 0; j < H; j++) dHidden[j] *= 1 - hidden[h + j] * hidden[h + j];
      for (let f = 0; f < featureCount; f++) {
        const e = (f * V + features[n * featureCount + f]) * H;
        for (let j = 0; j < H; j++) gradient[e + j] += dHidden[j];
      }
    }
  }

  private dot(weights: number, h: number): number {
    const { hidden, parameters } = this;
    let sum = 0;
    for (let j = 0; j < H; j++) sum += parameters[weights + j] * hidden[h + j];
    return sum;
  }

  private backwardDot(weights: number, h: number, d: number): void {
    const { dHidden, gradient, hidden, parameters } = this;
    for (let j = 0; j < H; j++) {
      dHidden[j] += d * parameters[weights + j];
      gradient[weights + j] += d * hidden[h + j];
    }
  }
}

/** Adam (Kingma and Ba 2015, arXiv 1412.6980) without weight decay. `step` also clears the gradient. */
export class Adam {
  private readonly mean: Float64Array;
  private readonly square: Float64Array;
  private steps = 0;

  constructor(
    private readonly policy: Policy,
    private readonly learningRate: number,
  ) {
    this.mean = new Float64Array(policy.parameters.length);
    this.square = new Float64Array(policy.parameters.length);
  }

  step(): void {
    const { mean, square } = this;
    const { parameters, gradient } = this.policy;
    this.steps++;
    const rate = (this.learningRate * Math.sqrt(1 - 0.999 ** this.steps)) / (1 - 0.9 ** this.steps);
    for (let i = 0; i < parameters.length; i++) {
      mean[i] += 0.1 * (gradient[i] - mean[i]);
      square[i] += 0.001 * (gradient[i] * gradient[i] - square[i]);
      parameters[i] -= (rate * mean[i]) / (Math.sqrt(square[i]) + 1e-8);
    }
    gradient.fill(0);
  }
}
