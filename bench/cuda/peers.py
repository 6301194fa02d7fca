"""What others need for the same loss, in one run with the device's copy rate as PyTorch reaches it.

    python3 bench/cuda/peers.py <json file> [--repeats n] [--seconds n] [--try]

The clipped policy loss at token level with temperature, and its gradient to the logits:
  PyTorch eager            log_softmax in float32, gather, ratio, clip, backward
  torch.compile            the same function, compiled
  Triton, 2R+1W            one program per row, online softmax, a second read that writes the gradient in place: how Liger's
                           loss kernels work, with the loss fused in; the fastest of several block sizes
and plain cross-entropy (no ratio, no temperature) of Liger-Kernel and quack where they can be imported.
Each is checked against float64 on sampled rows before it is timed. `bytes` is what a kernel of the kind has to move at
least: 1R for a forward, 1R+1W for a forward with gradient; so `ratio`, bytes / time over the copy rate, compares with that
of step_bench. L2 is flushed before each repeat, and logits that were overwritten are restored.

--seconds: no new shape is begun after so many.  --try: tiny shapes, on the CPU too (with TRITON_INTERPRET=1).
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from typing import Callable

from peers_kernels import TEMPERATURE, CLIP_LOW, CLIP_HIGH

try:
    import torch
except ImportError as error:
    sys.exit(f"peers.py: left out, PyTorch cannot be imported ({error})")

try:
    import triton  # noqa: F401

    from peers_kernels import triton_forward, triton_loss, triton_variants
except ImportError as error:
    triton = None
    print(f"Triton: left out, it cannot be imported ({error})")

VOCABULARIES = [32000, 128256, 151936, 256000]
ROWS = [16, 512, 8192]
WARM_UPS = 3
# Of float64; bf16's gradient is rounded to 8 bits.
GRADIENT_BOUND = {torch.float32: 1e-5, torch.bfloat16: 4e-3}
LOG_PROB_BOUND = 1e-4
NAMES = {torch.float32: "f32", torch.bfloat16: "bf16"}


class Device:
    """Times work on the GPU by events with a cold L2; on the CPU, for trying this program out, by the clock."""

    def __init__(self, repeats):
        self.name = "cuda" if torch.cuda.is_available() else "cpu"
        self.repeats = repeats
        cache = torch.cuda.get_device_properties(0).L2_cache_size if self.name == "cuda" else 1 << 16
        self.scratch = torch.empty(16 * cache, dtype=torch.uint8, device=self.name)

    def free_bytes(self):
        return torch.cuda.mem_get_info()[0] if self.name == "cuda" else 1 << 33

    def times(self, prepare, body):
        seconds = []
        for i in range(WARM_UPS + self.repeats):
            prepare()
            self.scratch.fill_(i % 251)
            seconds.append(self.once(body))
        return sorted(seconds[WARM_UPS:])

    def once(self, body):
        if self.name == "cpu":
            begin = time.perf_counter()
            body()
            return time.perf_counter() - begin
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        body()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e-3


def timing(seconds, moved, copy_rate=None):
    fastest, median = seconds[0], seconds[len(seconds) // 2]
    fields = {
        "us": fastest * 1e6,
        "usMedian": median * 1e6,
        "repeats": len(seconds),
        "bytes": moved,
        "gbPerSecond": moved / fastest * 1e-9,
        "gbPerSecondMedian": moved / median * 1e-9,
    }
    if copy_rate is not None:
        fields["ratio"] = fields["gbPerSecond"] / copy_rate["gbPerSecond"]
        fields["ratioMedian"] = fields["gbPerSecondMedian"] / copy_rate["gbPerSecondMedian"]
    return fields


def measure_copy(device, count):
    source = torch.randint(0, 2**31 - 1, (count // 4,), dtype=torch.int32, device=device.name)
    target = torch.empty_like(source)
    return timing(device.times(lambda: None, lambda: target.copy_(source)), 2 * source.numel() * 4)


class Batch:
    """The same distribution as step_bench's: every second row has a peak at its target."""

    def __init__(self, rows, columns, dtype, device):
        self.rows, self.columns, self.dtype = rows, columns, dtype
        generator = torch.Generator(device.name).manual_seed(rows + columns)
        make = {"device": device.name, "generator": generator}
        self.targets = torch.randint(0, columns, (rows,), **make)
        self.pristine = torch.empty(rows, columns, dtype=dtype, device=device.name)
        for first in range(0, rows, 256):
            part = self.pristine[first : first + 256]
            part.copy_(torch.randn(part.shape, **make).mul_(2.5))
        peaked = torch.arange(1, rows, 2, device=device.name)
        self.pristine[peaked, self.targets[peaked]] += 15.0
        self.logits = self.pristine.clone()
        sign = torch.where(torch.arange(rows, device=device.name) % 2 == 0, 1.0, -1.0)
        self.advantages = sign * (1.5 + torch.rand(rows, **make))
        self.old = torch.cat([self.exact(n)[1].float().reshape(1) for n in range(rows)])
        self.old += 1e-3 * (torch.rand(rows, **make) - 0.5)
        self.sample = sorted({n for i in range(4) for n in (i * (rows - 2) // 3, i * (rows - 2) // 3 + 1)})

    def restore(self):
        self.logits.copy_(self.pristine)

    def exact(self, n, temperature=TEMPERATURE):
        """Log-probs of row n and of its target, in float64."""
        row = torch.log_softmax(self.pristine[n].double() / temperature, -1)
        return row, row[self.targets[n]]

    def exact_gradient(self, n):
        row, target = self.exact(n)
        ratio = torch.exp(target - self.old[n].double())
        advantage = self.advantages[n].double()
        clipped = (ratio > 1 + CLIP_HIGH) if advantage > 0 else (ratio < 1 - CLIP_LOW)
        gradient = row.exp()
        gradient[self.targets[n]] -= 1
        return gradient * (0.0 if clipped else ratio * advantage) / (TEMPERATURE * self.rows)

    def exact_cross_entropy_gradient(self, n):
        gradient = self.exact(n, 1.0)[0].exp()
        gradient[self.targets[n]] -= 1
        return gradient

    def log_prob_error(self, log_probs):
        return max(abs(log_probs[n].double() - self.exact(n)[1]).item() for n in self.sample)

    def gradient_error(self, gradient, exact):
        """Relative L2 over the sampled rows."""
        square = scale = 0.0
        for n in self.sample:
            expected = exact(n)
            square += (gradient[n].double() - expected).square().sum().item()
            scale += expected.square().sum().item()
        return (square / scale) ** 0.5


def token_loss(logits, targets, old, advantages, count):
    log_probs = torch.log_softmax(logits.float() / TEMPERATURE, -1).gather(-1, targets[:, None])[:, 0]
    ratio = torch.exp(log_probs - old)
    clipped = torch.clamp(ratio, 1 - CLIP_LOW, 1 + CLIP_HIGH)
    return -torch.minimum(ratio * advantages, clipped * advantages).sum() / count


def chunk_rows(batch, device):
    """Autograd keeps about four float32 matrices of the logits' shape beside them."""
    per_row = 5 * 4 * batch.columns
    return min(batch.rows, max(1, int(0.8 * device.free_bytes() / per_row)))


def torch_step(batch, rows_at_once, loss):
    """Loss and gradient of every row; the gradients of the chunks."""
    gradients = []
    for first in range(0, batch.rows, rows_at_once):
        part = slice(first, first + rows_at_once)
        logits = batch.logits[part].detach().requires_grad_(True)
        loss(logits, batch.targets[part], batch.old[part], batch.advantages[part], batch.rows).backward()
        gradients.append(logits.grad)
    return gradients


@dataclass
class Peer:
    kind: str
    variant: str
    passes: int  # over the logits' bytes, at least
    work: Callable
    check: Callable  # answers (log-prob error, relative gradient error), None for what there is none of
    prepare: Callable = lambda: None


def peers_of(batch, device):
    return torch_peers(batch, device) + (triton_peers(batch) if triton else []) + cross_entropy_peers(batch)


def torch_peers(batch, device):
    size = chunk_rows(batch, device)
    variant = "" if size == batch.rows else f"chunks of {size}"

    def forward():
        with torch.no_grad():
            parts = []
            for first in range(0, batch.rows, size):
                part = slice(first, first + size)
                log_probs = torch.log_softmax(batch.logits[part].float() / TEMPERATURE, -1)
                parts.append(log_probs.gather(-1, batch.targets[part, None])[:, 0])
            return torch.cat(parts)

    def peer(kind, loss):
        def step():
            return torch_step(batch, size, loss)

        return Peer(kind, variant, 2, step, lambda: (None, batch.gradient_error(torch.cat(step()), batch.exact_gradient)))

    if hasattr(torch, "_dynamo"):
        torch._dynamo.reset()  # it stops compiling after a few shapes of one function
    return [
        Peer("PyTorch eager forward", variant, 1, forward, lambda: (batch.log_prob_error(forward()), None)),
        peer("PyTorch eager", token_loss),
        peer("torch.compile", torch.compile(token_loss, dynamic=False)),
    ]


def triton_peers(batch):
    def peers(block, warps):
        def forward():
            return triton_forward(batch, block, warps)

        def loss():
            return triton_loss(batch, block, warps)

        def check_loss():
            batch.restore()
            return batch.log_prob_error(loss()), batch.gradient_error(batch.logits, batch.exact_gradient)

        variant = f"{block} columns, {warps} warps"
        return [
            Peer("Triton forward 1R", variant, 1, forward, lambda: (batch.log_prob_error(forward()), None)),
            Peer("Triton loss 2R+1W", variant, 2, loss, check_loss, batch.restore),
        ]

    return [peer for block, warps in triton_variants(batch.columns) for peer in peers(block, warps)]


def cross_entropy_peers(batch):
    """Of libraries that may not be there, or whose names moved: what fails is left out with a line."""
    peers = []

    def add(kind, function_of):
        try:
            function = function_of()
        except Exception as error:  # whatever an import of another version raises
            left_out(kind, error)
            return

        def step():
            logits = batch.logits.detach().requires_grad_(True)
            function(logits, batch.targets).sum().backward()
            return logits.grad

        def check():
            batch.restore()
            return None, batch.gradient_error(step(), batch.exact_cross_entropy_gradient)

        peers.append(Peer(kind, "", 2, step, check, batch.restore))

    def liger():
        from liger_kernel.transformers.functional import liger_cross_entropy

        return lambda logits, targets: liger_cross_entropy(logits, targets, reduction="sum")

    def quack():
        from quack.cross_entropy import cross_entropy

        return lambda logits, targets: cross_entropy(logits, targets, inplace_backward=True)

    add("Liger cross-entropy", liger)
    add("quack cross-entropy", quack)
    return peers


LEFT_OUT = {}


def left_out(name, error):
    why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if LEFT_OUT.get(name) != why:
        print(f"{name}: left out, {why}", flush=True)
    LEFT_OUT[name] = why


def measure_peer(peer, batch, device, copy_rate):
    fields = {"op": peer.kind, "variant": peer.variant, "rows": batch.rows, "columns": batch.columns, "dtype": NAMES[batch.dtype]}
    try:
        batch.restore()
        log_prob_error, gradient_error = peer.check()
        batch.restore()
        fields |= {"logProbError": log_prob_error, "gradientL2": gradient_error}
        if log_prob_error is not None and not log_prob_error <= LOG_PROB_BOUND:
            return fields | {"wrong": f"a log-prob is off by {log_prob_error:.2g}"}
        if gradient_error is not None and not gradient_error <= GRADIENT_BOUND[batch.dtype]:
            return fields | {"wrong": f"the gradient is off by {gradient_error:.2g}"}
        moved = batch.rows * batch.columns * batch.pristine.element_size() * peer.passes
        return fields | timing(device.times(peer.prepare, peer.work), moved, copy_rate)
    except Exception as error:  # one peer's failure is not the others'
        left_out(peer.kind, error)
        return fields | {"failed": str(error)[:200]}


def measure_shape(batch, device, copy_rate):
    """Every peer's results; prints the fastest variant of each kind."""
    results = [measure_peer(peer, batch, device, copy_rate) for peer in peers_of(batch, device)]
    for fields in results:
        if "wrong" in fields:
            print(f"  WRONG, not timed: {fields['op']} {fields['variant']}: {fields['wrong']}")
    timed = [fields for fields in results if "us" in fields]
    for kind in dict.fromkeys(fields["op"] for fields in timed):
        best = min((fields for fields in timed if fields["op"] == kind), key=lambda fields: fields["usMedian"])
        errors = [f"{best[key]:9.2g}" if best[key] is not None else " " * 9 for key in ("logProbError", "gradientL2")]
        print(
            f"{batch.columns:8} {batch.rows:7} {best['dtype']:4}  {kind + '  ' + best['variant']:44} {best['us']:10.1f} "
            f"{best['usMedian']:10.1f} {best['gbPerSecondMedian']:8.1f} {best['ratioMedian']:6.3f} {' '.join(errors)}",
            flush=True,
        )
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--try", dest="try_out", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available() and not options.try_out:
        sys.exit("peers.py: left out, PyTorch sees no CUDA device")
    begin = time.perf_counter()
    torch.backends.cuda.matmul.allow_tf32 = False
    device = Device(3 if options.try_out else options.repeats)
    shapes = [(v, n) for v in ([1003] if options.try_out else VOCABULARIES) for n in ([16] if options.try_out else ROWS)]
    copy_rate = measure_copy(device, 1 << 24 if options.try_out else 1 << 32)
    print(f"copy rate: {copy_rate['gbPerSecondMedian']:.1f} GB/s (median), {copy_rate['gbPerSecond']:.1f} (best)")
    print(f"{'V':>8} {'N':>7} {'':4}  {'peer':44} {'min us':>10} {'median us':>10} {'GB/s':>8} {'ratio':>6} {'log-prob':>9} {'grad L2':>9}")
    results, skipped = [], []
    # The shapes that the targets name come first.
    order = sorted(((v, n, d) for v, n in shapes for d in (torch.bfloat16, torch.float32)), key=lambda s: (-s[1], s[2] != torch.bfloat16, -s[0]))
    for columns, rows, dtype in order:
        shape = f"V {columns}, N {rows}, {NAMES[dtype]}"
        needed = 3 * rows * columns * (2 if dtype == torch.bfloat16 else 4)
        if time.perf_counter() - begin > options.seconds or needed > device.free_bytes():
            skipped.append(shape)
            continue
        results += measure_shape(Batch(rows, columns, dtype, device), device, copy_rate)
        if device.name == "cuda":
            torch.cuda.empty_cache()
    if skipped:
        print("left out for time or memory: " + "; ".join(skipped))
    document = {
        "bench": "peers",
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "command": " ".join(sys.argv),
        "device": torch.cuda.get_device_name(0) if device.name == "cuda" else "cpu",
        "torch": torch.__version__,
        "triton": getattr(triton, "__version__", None),
        "copyRate": copy_rate,
        "leftOut": LEFT_OUT,
        "skipped": skipped,
        "ops": results,
    }
    with open(options.file, "w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.write("\n")
    return 1 if any("wrong" in result for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
