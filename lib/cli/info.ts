import { info } from '../backend/info.js';

export function infoCommand(): string {
  return JSON.stringify(info(), null, 2);
}
