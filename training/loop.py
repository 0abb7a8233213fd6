"""One training loop for teacher and student: mixed precision, accumulation, resumable epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from training.runs import whole


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. `rates` are the peak learning rates of the parameter groups; `muon`
    takes the matrices of the encoder's layers from AdamW, where it can (`optimizers_of`)."""

    epochs: int
    batch_size: int
    rates: tuple[float, ...]
    accumulate: int = 1
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    muon: bool = False


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def autocast(where: torch.device):
    """Mixed precision where the hardware computes faster in it; plain float32 elsewhere.

    On a CPU without its instructions bf16 would be emulated, slower than float32.
    """
    if has_bf16(where):
        return torch.autocast(where.type, dtype=torch.bfloat16)
    if where.type == "cuda":
        return torch.autocast("cuda", dtype=torch.float16)
    return nullcontext()


def has_bf16(where: torch.device) -> bool:
    """Whether the hardware computes in bf16 itself."""
    if where.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def fit(
    model: nn.Module,
    groups: Sequence[Iterable[nn.Parameter]],
    schedule: Schedule,
    epoch_batches: Callable[[int], Sequence],
    batch_loss: Callable[[object], torch.Tensor],
    out: Path,
    fingerprint: str,
    seed: int,
    name: str,
    after_epoch: Callable[[int], str] | None = None,
) -> list[dict]:
    """Train `model` in place and return one record per epoch: loss, seconds, what was said.

    `epoch_batches(epoch)` gives the batches of an epoch, always the same number of them and the
    same for the same epoch; `batch_loss(batch)` a scalar. After each epoch everything needed to go
    on is written to `out/checkpoint.pt` (temporary name, then rename). A run that was killed
    continues from there to the same result: no random state outlives an epoch, it is seeded anew
    from `seed` and the epoch's number. A checkpoint of other settings (`fingerprint`) is ignored.
    """
    where = device()
    model.to(where)
    optimizers = optimizers_of(model, groups, schedule)
    # One machine trains with Muon, another without: neither goes on from the other's checkpoint.
    fingerprint = f"{fingerprint}, {len(optimizers)} optimizers"
    batches = epoch_batches(0)
    steps = math.ceil(len(batches) / schedule.accumulate) * schedule.epochs
    schedulers = [
        torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: _linear(step, round(steps * schedule.warmup), steps)
        )
        for optimizer in optimizers
    ]
    precision = autocast(where)
    half = isinstance(precision, torch.autocast) and precision.fast_dtype == torch.float16
    scaler = torch.amp.GradScaler(where.type, enabled=half)
    parts = {"model": model, "scaler": scaler}
    parts |= {f"optimizer {n}": one for n, one in enumerate(optimizers)}
    parts |= {f"scheduler {n}": one for n, one in enumerate(schedulers)}
    path = out / "checkpoint.pt"
    history = _resume(path, parts, fingerprint, where, name)

    for epoch in range(len(history), schedule.epochs):
        torch.manual_seed(seed * 1_000 + epoch)
        began = time.monotonic()
        batches = epoch_batches(epoch)
        model.train()
        total = 0.0
        bar = tqdm(batches, f"{name} {epoch + 1}/{schedule.epochs}", mininterval=2, leave=False)
        for n, batch in enumerate(bar, 1):
            with precision:
                value = batch_loss(batch)
            if not torch.isfinite(value):
                raise FloatingPointError(
                    f"{name}: epoch {epoch + 1}, batch {n}: found loss {value.item()}, expected a "
                    "finite number; a lower learning rate usually helps"
                )
            scaler.scale(value / schedule.accumulate).backward()
            total += value.item()
            if n % schedule.accumulate == 0 or n == len(batches):
                for optimizer in optimizers:
                    scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
                for optimizer in optimizers:
                    scaler.step(optimizer)
                scaler.update()
                for optimizer, scheduler in zip(optimizers, schedulers, strict=True):
                    optimizer.zero_grad()
                    scheduler.step()
                bar.set_postfix(loss=f"{total / n:.4f}", refresh=False)
        record = {
            "epoch": epoch + 1,
            "loss": round(total / len(batches), 5),
            "seconds": round(time.monotonic() - began, 1),
        }
        said = after_epoch(epoch) if after_epoch else ""
        print(f"{name} {epoch + 1}/{schedule.epochs}: loss {record['loss']:.4f}, "
              f"{record['seconds']:.0f} s  {said}", flush=True)  # fmt: skip
        history.append(record)
        _save(path, parts, fingerprint, history)
    return history


def optimizers_of(
    model: nn.Module, groups: Sequence[Iterable[nn.Parameter]], schedule: Schedule
) -> list[torch.optim.Optimizer]:
    """AdamW, and where the schedule says so Muon (Jordan et al., 2024,
    https://kellerjordan.github.io/posts/muon) for the matrices of the encoder's layers. A rate
    serves both: Muon's steps are scaled to AdamW's (Liu et al., 2025, arXiv 2502.16982). They are
    computed in bf16: emulated, they would take longer than the rest of a small model's batch."""
    muon = schedule.muon and has_bf16(device())
    matrices = {id(p) for name, p in model.named_parameters()
                if muon and ".layer." in name and p.ndim == 2}  # fmt: skip
    parts: tuple[list, list] = ([], [])
    for parameters, rate in zip(groups, schedule.rates, strict=True):
        trained = [p for p in parameters if p.requires_grad]
        for part, chosen in zip(parts, (True, False), strict=True):
            of_part = [p for p in trained if (id(p) in matrices) == chosen]
            if of_part:
                part.append({"params": of_part, "lr": rate})
    by_muon, by_adam = parts
    decay = schedule.weight_decay
    found = [torch.optim.AdamW(by_adam, weight_decay=decay, fused=True)]
    if by_muon:
        found.append(_Muon(by_muon, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
    return found


class _Muon(torch.optim.Muon):
    """On one thread: its matrices are so small that on a busy machine two threads wait for each
    other ten times as long as one takes."""

    def step(self, closure=None):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return super().step(closure)
        finally:
            torch.set_num_threads(threads)


def _linear(step: int, warmup: int, steps: int) -> float:
    """Rise to 1 over the warm-up, then fall in a straight line to 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (steps - step) / max(1, steps - warmup))


def _save(path: Path, parts: dict, fingerprint: str, history: list[dict]) -> None:
    state = {name: part.state_dict() for name, part in parts.items()}
    with whole(path) as temporary:
        torch.save({"fingerprint": fingerprint, "history": history, **state}, temporary)


def _resume(path: Path, parts: dict, fingerprint: str, where, name: str) -> list[dict]:
    """The history of the checkpoint at `path`, its state loaded into `parts`; [] without one."""
    if not path.exists():
        return []
    state = torch.load(path, map_location=where, weights_only=True)
    if state["fingerprint"] != fingerprint:
        print(f"{name}: the checkpoint in {path.parent} is of other settings, starting anew")
        return []
    for part, target in parts.items():
        target.load_state_dict(state[part])
    print(f"{name}: resuming after epoch {len(state['history'])}", flush=True)
    return state["history"]
