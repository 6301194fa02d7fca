/**
 * A progress bar: one line that is redrawn on a terminal, a few plain lines anywhere else (CI logs, pipes).
 */

export interface ProgressOptions {
  /** Number of steps until the bar is full. */
  total: number;
  label?: string;
  stream?: NodeJS.WriteStream;
  /** Plain lines printed in all when the stream is no terminal. */
  plainLines?: number;
}

export interface Progress {
  /** Moves the bar to `done` of `total` and shows `text` behind it. */
  update(done: number, text?: string): void;
  /** Ends the bar's line, so that what is printed next starts on its own. */
  finish(): void;
}

const barWidth = 24;
const redrawEveryMs = 80;

export function progressBar(options: ProgressOptions): Progress {
  const { total, label = '', stream = process.stdout, plainLines = 10 } = options;
  return stream.isTTY ? terminalBar(total, label, stream) : plainBar(total, label, stream, plainLines);
}

function terminalBar(total: number, label: string, stream: NodeJS.WriteStream): Progress {
  let lastDrawn = Number.NEGATIVE_INFINITY;
  return {
    update(done, text = '') {
      const now = performance.now();
      if (done < total && now - lastDrawn < redrawEveryMs) return;
      lastDrawn = now;
      const share = total > 0 ? Math.min(done / total, 1) : 1;
      const full = Math.round(share * barWidth);
      const line = `${label} ${'█'.repeat(full)}${'░'.repeat(barWidth - full)} ${done}/${total}  ${text}`;
      // A line longer than the window would wrap, and the carriage return would then go back over its last part only.
      stream.write(`\r${line.slice(0, (stream.columns || 80) - 1)}\u001b[K`);
    },
    finish: () => void stream.write('\n'),
  };
}

function plainBar(total: number, label: string, stream: NodeJS.WriteStream, plainLines: number): Progress {
  let printed = 0;
  return {
    update(done, text = '') {
      const due = Math.floor((done / Math.max(total, 1)) * plainLines);
      if (due <= printed && done < total) return;
      if (due === printed) return;
      printed = due;
      stream.write(`${label} ${String(done).padStart(String(total).length)}/${total}  ${text}\n`);
    },
    finish: () => undefined,
  };
}
