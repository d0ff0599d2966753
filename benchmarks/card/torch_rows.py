"""The peer in PyTorch: the networks and the step of pytorch-CycleGAN-and-pix2pix, D and then G.

In float32 as it is used there. In 16 bits at its best: autocast, channels last, a fused Adam.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from card.plan import FILTERS, ROW_S, SMALL_FILTERS, SMALL_ROW_S, Row
from card.timing import timed


class Block(nn.Module):
    """A level of the U-Net around the level `inner` inside it, None for the innermost."""

    def __init__(self, outside: int, inside: int, inner: nn.Module | None, dropout: bool = False) -> None:
        super().__init__()
        down = nn.Conv2d(outside, inside, 4, 2, 1, bias=False)
        up = nn.ConvTranspose2d(inside * (2 if inner else 1), outside, 4, 2, 1, bias=False)
        before = [nn.LeakyReLU(0.2, True), down, *([nn.BatchNorm2d(inside), inner] if inner else [])]
        after = [nn.ReLU(True), up, nn.BatchNorm2d(outside), *([nn.Dropout(0.5)] if dropout else [])]
        self.body = nn.Sequential(*before, *after)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.body(x)], 1)


def generator(size_px: int, filters: int) -> nn.Module:
    levels = size_px.bit_length() - 1
    net = Block(filters * 8, filters * 8, None)
    for _ in range(levels - 5):
        net = Block(filters * 8, filters * 8, net, dropout=True)
    for outside, inside in ((4, 8), (2, 4), (1, 2)):
        net = Block(filters * outside, filters * inside, net)
    first, last = nn.Conv2d(3, filters, 4, 2, 1, bias=False), nn.ConvTranspose2d(filters * 2, 3, 4, 2, 1)
    return nn.Sequential(first, net, nn.ReLU(True), last, nn.Tanh())


def discriminator(filters: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Conv2d(6, filters, 4, 2, 1), nn.LeakyReLU(0.2, True)]
    for a, b, stride in ((1, 2, 2), (2, 4, 2), (4, 8, 1)):
        convolution = nn.Conv2d(filters * a, filters * b, 4, stride, 1, bias=False)
        layers += [convolution, nn.BatchNorm2d(filters * b), nn.LeakyReLU(0.2, True)]
    return nn.Sequential(*layers, nn.Conv2d(filters * 8, 1, 4, 1, 1))


def measurer(*, gpus: int = 1) -> Callable[[Row | None], dict[str, Any]]:
    """Returns a function from a row to its figures. It takes the first GPU, or the CPU without one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    filters, seconds = (FILTERS, ROW_S) if device == "cuda" else (SMALL_FILTERS, SMALL_ROW_S)

    def measure(row: Row | None) -> dict[str, Any]:
        if row is None:
            return {"torch": torch.__version__, "device": device}
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = row.precision == "tf32"
        try:
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            figures = timed(make_step(row, filters, device), seconds)
            if device == "cuda":
                figures["peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
            return {**figures, "torch": torch.__version__}
        finally:
            gc.collect()
            if device == "cuda":
                torch.cuda.empty_cache()

    return measure


def make_step(row: Row, filters: int, device: str) -> Callable[[], float]:
    """Returns a step on random pairs, which returns G's loss when it is done."""
    low = row.precision in ("bfloat16", "float16")
    layout = torch.channels_last if low else torch.contiguous_format
    g, d = (net.to(device, memory_format=layout) for net in (generator(row.size_px, filters), discriminator(filters)))
    g_adam, d_adam = (
        torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999), fused=(low and device == "cuda") or None)
        for net in (g, d)
    )
    scaler = torch.amp.GradScaler(device, enabled=row.precision == "float16")
    if row.xla:
        g, d = torch.compile(g), torch.compile(d)
    shape = (row.batch, 3, row.size_px, row.size_px)
    x, y = ((torch.rand(shape, device=device) * 2 - 1).to(memory_format=layout) for _ in range(2))
    cross_entropy, l1 = nn.BCEWithLogitsLoss(), nn.L1Loss()

    def low_precision() -> contextlib.AbstractContextManager:
        return torch.autocast(device, getattr(torch, row.precision)) if low else contextlib.nullcontext()

    def judged(logits: torch.Tensor, real: bool) -> torch.Tensor:
        return cross_entropy(logits.float(), torch.full_like(logits, float(real), dtype=torch.float32))

    def step() -> float:
        d.requires_grad_(True)
        with low_precision():
            fake = g(x)
            on_fake, on_real = d(torch.cat([x, fake.detach()], 1)), d(torch.cat([x, y], 1))
            d_loss = (judged(on_fake, False) + judged(on_real, True)) / 2
        d_adam.zero_grad()
        scaler.scale(d_loss).backward()
        scaler.step(d_adam)
        d.requires_grad_(False)
        with low_precision():
            g_loss = judged(d(torch.cat([x, fake], 1)), True) + 100 * l1(fake.float(), y)
        g_adam.zero_grad()
        scaler.scale(g_loss).backward()
        scaler.step(g_adam)
        scaler.update()
        return g_loss.item()  # waits for the GPU

    return step
