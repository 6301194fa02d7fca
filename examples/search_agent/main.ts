/**
 * Trains a search agent end to end through the turnwise loss, in plain TypeScript and under a minute: `npm run demo`.
 *
 * Read in this order: environment.ts (the task), tokens.ts and context.ts (what the policy says and sees), policy.ts (a small
 * network), rollout.ts (episodes), train.ts (where turnwise comes in). base_model.ts makes the policy that training starts from.
 */

import { a2tgpo, type Estimator, grpo, info } from 'turnwise';
import { progressBar } from '../shared/progress.js';
import { seededRandom } from '../shared/random.js';
import { learnLanguage } from './base_model.js';
import { KnowledgeBase } from './environment.js';
import { type Options, readOptions } from './options.js';
import { Policy } from './policy.js';
import { episodeText, percent, plotRuns, type Run, speedometer, statusLine, writeSvg } from './report.js';
import { packBatch, policyAgent, rollOut, successRate } from './rollout.js';
import { episodesPerStep, Trainer } from './train.js';

const heldOutQuestions = 300;

// A turn's ratio comes from the mean log-ratio of its tokens and stays nearer to 1 than a token's: A²TGPO has the tighter clip
// range. The paper's, [3e-3, 4e-3], is made for a language model's steps of 1e-6; this small network takes larger ones.
const estimators: Record<Options['estimator'], () => Estimator> = {
  a2tgpo: () => a2tgpo({ clip: [0.1, 0.15] }),
  grpo: () => grpo({ clip: [0.2, 0.28] }),
};

const options = readOptions(process.argv.slice(2));
const seeds = Array.from({ length: options.seeds }, (_, i) => options.seed + i);
const { backend, simd, threads } = info();
const machine = simd
  ? `${simd.target}, ${threads} thread${threads === 1 ? '' : 's'}`
  : 'plain TypeScript, no native add-on';
console.log(`Search agent: ${options.estimator}, ${options.steps} steps of ${episodesPerStep} episodes`);
console.log(`Backend: ${backend} (${machine})\n`);

const runs = seeds.map((seed) => train(seed, options));
console.log(plotRuns(runs, options));
console.log(`\nWrote ${writeSvg(runs, options)}`);

/** One run: everything random in it comes from the seed. */
function train(seed: number, { estimator, steps }: Options): Run {
  const started = performance.now();
  const random = seededRandom(seed);
  const knowledge = new KnowledgeBase(random);
  const questions = random.shuffle(knowledge.questions());
  const heldOut = questions.splice(0, heldOutQuestions);
  const policy = new Policy(random);
  const agent = policyAgent(policy, random);
  const examine = () => successRate(heldOut.map((question) => rollOut(agent, knowledge, question)));

  learnLanguage(policy, knowledge, questions, random);
  const before = examine();
  console.log(`Seed ${seed}: the base model answers ${percent(before)} of the held-out questions.`);

  const trainer = new Trainer(policy, estimators[estimator](), knowledge, questions, random);
  const curve: number[] = [];
  const speed = speedometer();
  const bar = progressBar({ total: steps, label: 'train' });
  for (let step = 1; step <= steps; step++) {
    const report = trainer.step();
    curve.push(report.successRate);
    bar.update(step, `${statusLine(report)}  ${speed(report)}`);
  }
  bar.finish();

  const seconds = (performance.now() - started) / 1000;
  console.log(`Held-out questions: ${percent(before)} before, ${percent(examine())} after ${seconds.toFixed(1)} s.`);
  const example = rollOut(agent, knowledge, heldOut[0]);
  const gain = trainer.scoreAnswers(packBatch([example]).turns, [example]);
  console.log(`${episodeText(example, gain)}\n`);
  return { seed, curve };
}
