/**
 * A²TGPO and GRPO on recorded conversations of a real agent.
 *
 *   node build/examples/real_trajectories/main.js <file.json | file.json.gz>
 *
 * The conversations are a large model's; here a small language model, trained on them on the spot, stands in for the policy: it gives real
 * logits [N, V] for what was said, and scores the tasks' true actions after each turn. Everything after that is what a trainer does.
 */
import {
  a2tgpo,
  type Credit,
  type Device,
  estimateAdvantages,
  grpo,
  info,
  informationGain,
  segmentTurns,
  type Turns,
} from 'turnwise';
import { type Batch, makeBatch, microBatches } from './batch.js';
import { checkConstantGroups, compareBackends } from './checks.js';
import { type Conversation, EXPECTED_FILE, FileError, readConversations } from './conversations.js';
import type { LanguageModel } from './language_model.js';
import { driftedFrom, trainPolicy } from './policy.js';
import { Stopwatch, stepTable, table, turnTable, verdictTable } from './report.js';
import { scoreAnswers, scoreBatch } from './scoring.js';
import { pass, type Rollouts } from './step.js';
import { trainTokenizer } from './tokenizer.js';

const VOCABULARY = 2048;
const ROWS_PER_MICRO_BATCH = 4096;
/** The reference is plain TypeScript, too slow for all rows: loss and gradient are compared on these, phase A on everything. */
const COMPARED_MICRO_BATCHES = 3;
/** Of the step along the gradient; the loss is a mean over all tokens, so a row's part of it is tiny. */
const LEARNING_RATE = 20;

/** Whether everything agreed. */
function main(file: string): boolean {
  const stopwatch = new Stopwatch();
  const conversations = stopwatch.time('read the file', () => readConversations(file));
  const batch = stopwatch.time('train the tokeniser, pack', () => pack(conversations));
  const turns = segmentTurns({ trajectoryOffsets: batch.trajectoryOffsets, turnIds: batch.turnIds });
  const device = info().backend;
  describe(batch, turns);

  const { policy, crossEntropy } = stopwatch.time('train the language model', () => trainPolicy(batch));
  const drifted = stopwatch.time('a few more steps', () => driftedFrom(policy, batch));
  const untrained = Math.log(batch.vocabulary).toFixed(2);
  say(`Language model: ${crossEntropy.toFixed(2)} nats per token while it learns, ${untrained} untrained.`);

  const oldLogProbs = stopwatch.time('old log-probs', () => scoreBatch(batch, policy));
  const scores = stopwatch.time('log-probs of true actions', () => scoreAnswers(batch, policy));
  const gain = informationGain({ turns, ...scores });
  const credits = stopwatch.time('phase A, both estimators', () => assignCredit(batch, turns, gain, device));
  const referenceCredits = stopwatch.time('phase A, reference', () => assignCredit(batch, turns, gain, 'reference'));
  reportCredit(batch, turns, gain, credits);
  const constant = checkConstantGroups(batch, turns, ...credits);
  const outcomePart = constant.nonZero === 0 ? 'exactly 0' : `NOT 0 ON ${constant.nonZero}`;
  say(
    `${constant.tasks} tasks have a constant outcome; its part of the credit of their ${constant.turns} turns: ${outcomePart}.`,
  );

  const rollouts = { batch, microBatches: microBatches(batch, ROWS_PER_MICRO_BATCH), oldLogProbs };
  const steps = credits.map((credit) => takeStep(rollouts, drifted, credit, device, stopwatch));
  say(`One step of each, ${rollouts.microBatches.length} micro-batches, from the policy a few steps later:`);
  print(stepTable(steps));

  const some = { ...rollouts, microBatches: rollouts.microBatches.slice(0, COMPARED_MICRO_BATCHES) };
  const rows = some.microBatches.reduce((sum, { start, end }) => sum + end - start, 0);
  const verdicts = stopwatch.time('compare with the reference', () =>
    credits.flatMap((credit, e) =>
      compareBackends(some, drifted, [device, 'reference'], [credit, referenceCredits[e]]),
    ),
  );
  say(`Backend "${device}" against "reference": credit on all turns, loss and gradient on the first ${rows} rows.`);
  if (device === 'reference') say('There is no native binary here, so this compares the reference with itself.');
  print(verdictTable(verdicts));
  say('Seconds:');
  print(stopwatch.lines());
  return constant.nonZero === 0 && verdicts.every(({ agrees }) => agrees);
}

function pack(conversations: readonly Conversation[]): Batch {
  // Each text once: a system prompt that all conversations share would otherwise fill the vocabulary.
  const texts = new Set<string>();
  for (const { messages, trueActions } of conversations) {
    for (const { text } of messages) texts.add(text);
    texts.add(trueActions);
  }
  return makeBatch(conversations, trainTokenizer(texts, VOCABULARY));
}

/** Phase A, once for the whole batch: credit compares all conversations of a task. */
function assignCredit(batch: Batch, turns: Turns, gain: Float64Array, device: Device): [a2tgpo: Credit, grpo: Credit] {
  const signals = { turns, groups: batch.groups, outcome: batch.outcome };
  return [
    estimateAdvantages({ ...signals, informationGain: gain }, a2tgpo(), { device }),
    estimateAdvantages(signals, grpo(), { device }),
  ];
}

/** Phase B: loss and gradient at `policy`, one step along the gradient, and the loss there. */
function takeStep(rollouts: Rollouts, policy: LanguageModel, credit: Credit, device: Device, stopwatch: Stopwatch) {
  const { name } = credit.estimator;
  const updated = policy.clone();
  const step = { updated, rate: LEARNING_RATE };
  const before = stopwatch.time(`${name} step`, () => pass(rollouts, policy, credit, device, step));
  const after = stopwatch.time(`${name} loss after it`, () => pass(rollouts, updated, credit, device));
  return { name, before, after };
}

function reportCredit(batch: Batch, turns: Turns, gain: Float64Array, credits: readonly [Credit, Credit]): void {
  const unscored = batch.answers.filter((answer) => answer.length === 0).length;
  say(`${unscored} conversations have no true actions: no information gain (NaN, which is not a gain of 0).`);
  say(
    'By turn index; A is the advantage of A²TGPO. Mean z is 0 because z is centred in each (task, turn index) group.',
  );
  print(turnTable(turns, gain, ...credits));
}

function describe(batch: Batch, turns: Turns): void {
  const { backend, simd, threads, nativeUnavailable } = info();
  const said = batch.conversations.reduce((sum, tokens) => sum + tokens.length, 0);
  say(`Backend: ${backend} ${simd ? `(${simd.target}, ${threads} threads)` : `(${nativeUnavailable})`}`);
  const sizes: [string, number][] = [
    ['M conversations', batch.outcome.length],
    ['G tasks', new Set(batch.groups).size],
    ['K turns', turns.count],
    ['N rows of logits', batch.targets.length],
    ['V vocabulary', batch.vocabulary],
    ['tokens said in all', said],
  ];
  print(table(sizes.map(([what, count]) => [what, String(count)])));
}

function say(sentence: string): void {
  console.log(`\n${sentence}`);
}

function print(lines: readonly string[]): void {
  for (const line of lines) console.log(`  ${line}`);
}

const file = process.argv[2];
try {
  if (file === undefined) {
    console.error('usage: node build/examples/real_trajectories/main.js <file.json | file.json.gz>');
    console.error(`\nThe file: ${EXPECTED_FILE}.`);
    process.exitCode = 2;
  } else if (!main(file)) {
    console.error('\nThe backends differ by more than rounding, or a constant outcome left a trace in the credit.');
    process.exitCode = 1;
  }
} catch (error) {
  if (!(error instanceof FileError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
}
