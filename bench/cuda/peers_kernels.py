"""The Triton kernels of peers.py: a forward of one read, and the clipped loss with its gradient in two reads and one write.

Written for this bench, in the way of Liger-Kernel's loss kernels: one program per row, softmax online over blocks of columns,
then the row a second time (from L2 as far as it still is there) to write its gradient over it.
"""

TEMPERATURE = 0.9
CLIP_LOW, CLIP_HIGH = 0.2, 0.28

try:
    import triton
    import triton.language as tl
except ImportError:
    triton = None

if triton is not None:
    import torch

    @triton.jit
    def row_statistics(row, columns, temperature, BLOCK: tl.constexpr):
        """Maximum and sum of exponentials of row / temperature."""
        largest = float("-inf")
        total = 0.0
        for start in range(0, columns, BLOCK):
            offsets = start + tl.arange(0, BLOCK)
            values = tl.load(row + offsets, mask=offsets < columns, other=float("-inf")).to(tl.float32) / temperature
            block_largest = tl.maximum(largest, tl.max(values))
            total = total * tl.exp(largest - block_largest) + tl.sum(tl.exp(values - block_largest))
            largest = block_largest
        return largest, total

    @triton.jit
    def forward_kernel(logits, targets, log_probs, columns, temperature, BLOCK: tl.constexpr):
        n = tl.program_id(0).to(tl.int64)
        row = logits + n * columns
        target = tl.load(targets + n)
        at_target = tl.load(row + target).to(tl.float32) / temperature
        largest, total = row_statistics(row, columns, temperature, BLOCK)
        tl.store(log_probs + n, at_target - largest - tl.log(total))

    @triton.jit
    def loss_kernel(
        logits, targets, old, advantages, log_probs, losses, columns, count, temperature, low, high, BLOCK: tl.constexpr
    ):
        n = tl.program_id(0).to(tl.int64)
        row = logits + n * columns
        target = tl.load(targets + n)
        at_target = tl.load(row + target).to(tl.float32) / temperature
        largest, total = row_statistics(row, columns, temperature, BLOCK)
        log_prob = at_target - largest - tl.log(total)
        ratio = tl.exp(log_prob - tl.load(old + n))
        advantage = tl.load(advantages + n)
        clipped = tl.minimum(tl.maximum(ratio, 1 - low), 1 + high)
        tl.store(log_probs + n, log_prob)
        tl.store(losses + n, -tl.minimum(ratio * advantage, clipped * advantage) / count)
        is_clipped = ((advantage > 0) & (ratio > 1 + high)) | ((advantage <= 0) & (ratio < 1 - low))
        coefficient = tl.where(is_clipped, 0.0, -ratio * advantage) / (count * temperature)
        for start in range(0, columns, BLOCK):
            offsets = start + tl.arange(0, BLOCK)
            inside = offsets < columns
            values = tl.load(row + offsets, mask=inside, other=float("-inf")).to(tl.float32) / temperature
            probabilities = tl.exp(values - largest) / total
            gradient = coefficient * (tl.where(offsets == target, 1.0, 0.0) - probabilities)
            tl.store(row + offsets, gradient.to(logits.dtype.element_ty), mask=inside)

    def triton_variants(columns):
        """(columns per block, warps); Liger's own choice is 2048 columns for one warp."""
        variants = [(1024, 4), (2048, 1), (2048, 4), (4096, 8), (8192, 8), (16384, 16), (32768, 32)]
        return [(block, warps) for block, warps in variants if block < 2 * columns]

    def triton_forward(batch, block, warps):
        log_probs = torch.empty(batch.rows, dtype=torch.float32, device=batch.logits.device)
        forward_kernel[(batch.rows,)](
            batch.logits, batch.targets, log_probs, batch.columns, TEMPERATURE, BLOCK=block, num_warps=warps
        )
        return log_probs

    def triton_loss(batch, block, warps):
        """Writes the gradient over the logits."""
        log_probs = torch.empty(batch.rows, dtype=torch.float32, device=batch.logits.device)
        losses = torch.empty_like(log_probs)
        loss_kernel[(batch.rows,)](
            batch.logits, batch.targets, batch.old, batch.advantages, log_probs, losses, batch.columns, batch.rows,
            TEMPERATURE, CLIP_LOW, CLIP_HIGH, BLOCK=block, num_warps=warps,
        )  # fmt: skip
        return log_probs
