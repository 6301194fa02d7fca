/**
 * Reads a file of recorded agent conversations (plain or gzipped JSON) and checks it: what is wrong is named by its path in the file.
 *
 * Expected: an array of { task_id, reward, info: { task: { actions: [{ name, kwargs }] } }, traj: [{ role, content, tool_calls? }] },
 * the format in which tau-bench publishes its trajectories.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export const EXPECTED_FILE =
  'a JSON array (or .json.gz) of conversations { task_id, reward, info: { task: { actions: [{ name, kwargs }] } }, ' +
  'traj: [{ role, content, tool_calls? }] }';

const ROLES = ['system', 'user', 'assistant', 'tool'] as const;
export type Role = (typeof ROLES)[number];

export interface Message {
  role: Role;
  /** What was said, then one line per tool call. */
  text: string;
}

export interface Conversation {
  task: string;
  reward: number;
  messages: Message[];
  /** The task's true actions, written as the assistant writes its tool calls; empty where the task wants none. */
  trueActions: string;
}

/** The file is not what this example expects. */
export class FileError extends Error {
  override readonly name = 'FileError';
}

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export function readConversations(file: string): Conversation[] {
  const found = parse(file);
  if (!Array.isArray(found) || found.length === 0) throw new FileError(`${file}: expected ${EXPECTED_FILE}`);
  return found.map((conversation, i) => readConversation(conversation, `[${i}]`));
}

function parse(file: string): Json {
  try {
    const bytes = readFileSync(file);
    const zipped = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return JSON.parse((zipped ? gunzipSync(bytes) : bytes).toString('utf8')) as Json;
  } catch (cause) {
    throw new FileError(`${file}: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

function readConversation(value: Json, path: string): Conversation {
  const messages = array(field(value, 'traj', path), `${path}.traj`).map((m, i) =>
    readMessage(m, `${path}.traj[${i}]`),
  );
  if (!messages.some((message) => message.role === 'assistant')) wrong(`${path}.traj`, 'an assistant message', 'none');

  const task = field(field(value, 'info', path), 'task', `${path}.info`);
  const actionsPath = `${path}.info.task.actions`;
  const trueActions = array(field(task, 'actions', `${path}.info.task`), actionsPath).map((action, i) => {
    const name = string(field(action, 'name', `${actionsPath}[${i}]`), `${actionsPath}[${i}].name`);
    return renderCall(name, field(action, 'kwargs', `${actionsPath}[${i}]`));
  });
  const id = field(value, 'task_id', path);
  if (typeof id !== 'number' && typeof id !== 'string') wrong(`${path}.task_id`, 'a number or a string', id);
  return {
    task: String(id),
    reward: number(field(value, 'reward', path), `${path}.reward`),
    messages,
    trueActions: trueActions.join('\n'),
  };
}

function readMessage(value: Json, path: string): Message {
  const role = ROLES.find((known) => known === field(value, 'role', path));
  if (role === undefined) return wrong(`${path}.role`, `one of ${ROLES.join(', ')}`, field(value, 'role', path));
  // A message that only calls a tool has null for content, or none.
  const content = string(optionalField(value, 'content') ?? '', `${path}.content`);
  const lines = content === '' ? [] : [content];
  const calls = optionalField(value, 'tool_calls') ?? [];
  for (const [i, call] of array(calls, `${path}.tool_calls`).entries()) {
    const at = `${path}.tool_calls[${i}].function`;
    const called = field(call, 'function', `${path}.tool_calls[${i}]`);
    const written = string(field(called, 'arguments', at), `${at}.arguments`);
    lines.push(renderCall(string(field(called, 'name', at), `${at}.name`), reparse(written)));
  }
  return { role, text: lines.join('\n') };
}

/** One spelling for calls and true actions alike, so that blanks in the JSON are no difference between the two. */
function renderCall(name: string, args: Json): string {
  return `${name} ${typeof args === 'string' ? args : JSON.stringify(args)}`;
}

/** A model may write arguments that are no JSON: then they stay as written. */
function reparse(written: string): Json {
  try {
    return JSON.parse(written) as Json;
  } catch {
    return written;
  }
}

function optionalField(value: Json, key: string): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value[key] : undefined;
}

function field(value: Json, key: string, path: string): Json {
  const found = optionalField(value, key);
  return found === undefined ? wrong(`${path}.${key}`, 'a value', found) : found;
}

function array(value: Json, path: string): Json[] {
  return Array.isArray(value) ? value : wrong(path, 'an array', value);
}

function string(value: Json, path: string): string {
  return typeof value === 'string' ? value : wrong(path, 'a string', value);
}

function number(value: Json, path: string): number {
  return typeof value === 'number' ? value : wrong(path, 'a number', value);
}

function wrong(path: string, expected: string, received: Json | undefined): never {
  const shown = received === undefined ? 'nothing' : JSON.stringify(received).slice(0, 40);
  throw new FileError(`${path}: expected ${expected}, received ${shown}. The file should be ${EXPECTED_FILE}`);
}
