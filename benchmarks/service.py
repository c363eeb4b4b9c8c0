"""The service at five times its capacity: every answer checked against a truth computed before, every refusal timed, memory watched.

    python benchmarks/service.py [--model torchvision/resnet18] [--size 224] [--seconds 30] [--factor 5]

The model has random weights (its head is scaled so that the pictures have different answers); the service is `omma serve` in a process of
its own. Capacity is what 24 askers who wait for each answer get. Then requests are sent at a fixed rate, whether answered or not.
A wrong answer is another label (unless the top two are within 1e-3) or a probability that is off by more than 1e-3.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from _table import begin, report

TOKEN = "benchmark-token-of-enough-length"
PICTURES, ASKERS = 64, 24


@dataclass
class Tally:
    """What came back."""

    answered: int = 0
    wrong: int = 0
    refused: int = 0
    late: int = 0
    failed: list[str] = field(default_factory=list)
    answer_seconds: list[float] = field(default_factory=list)
    refusal_seconds: list[float] = field(default_factory=list)
    no_retry_after: int = 0


def pictures(count: int) -> list[bytes]:
    """JPEG files of 256 × 256, each of its own colours and shapes."""
    from PIL import Image

    draw, blobs = np.random.default_rng(0), []
    for _ in range(count):
        small = draw.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        out = io.BytesIO()
        Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC).save(out, "JPEG", quality=90)
        blobs.append(out.getvalue())
    return blobs


def make_bundle(folder: Path, model: str, size: int, blobs: list[bytes]) -> list[dict]:
    """Save a model of random weights and return the answer to each picture, computed one by one by eager PyTorch."""
    import torch

    from omma.bundle import Bundle
    from omma.data.decode import decode
    from omma.data.views import Views
    from omma.models.making import build
    from omma.tasks.classify import Classify

    torch.manual_seed(0)
    names = [f"class {i}" for i in range(10)]
    task, views = Classify(names), Views(size, 3, "crop")
    net = build(model, channels=3, size=size, outputs=len(names)).eval()
    frames = torch.from_numpy(np.stack([views.frame(decode(blob)) for blob in blobs]))
    with torch.no_grad():
        logits = torch.cat([net(views.finish(frame[None])) for frame in frames])
    # Random networks answer all pictures alike; taking off what is common makes a swapped answer visible.
    spread = float((logits - logits.mean(0)).std())
    centre = [float(v) for v in logits.mean(0)]
    with torch.no_grad():
        head = next(m for m in reversed(list(net.modules())) if isinstance(m, torch.nn.Linear))
        head.weight.div_(spread)
        head.bias.copy_((head.bias - torch.tensor(centre)) / spread)
    bundle = Bundle(task, {"net": net}, views, {}, {"model": model, "model_settings": {}})
    bundle.save(folder)
    with torch.no_grad():
        return [task.decode(bundle.pipeline()(frame[None]))[0].json() for frame in frames]


def same(answer: dict, truth: dict) -> bool:
    top = sorted(truth["probabilities"].values(), reverse=True)
    near = max(abs(answer["probabilities"][k] - v) for k, v in truth["probabilities"].items()) <= 1e-3
    return near and (answer["label"] == truth["label"] or top[0] - top[1] <= 1e-3)


class Line:
    """One kept-open connection; plain HTTP, because a full client would take the processor from the service."""

    def __init__(self, port: int) -> None:
        self.port, self.reader, self.writer = port, None, None

    async def post(self, blob: bytes) -> tuple[int, dict[str, str], bytes]:
        if self.writer is None or self.writer.is_closing() or self.reader.at_eof():
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = (
            f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: {len(blob)}\r\n\r\n"
        )
        self.writer.write(head.encode() + blob)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(lines[0].split()[1]), headers, body

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.writer = None


async def ask(line: Line, place: int, blobs: list[bytes], truths: list[dict], tally: Tally) -> None:
    began = time.perf_counter()
    try:
        status, headers, body = await asyncio.wait_for(line.post(blobs[place]), 30)
    except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
        tally.failed.append(type(error).__name__)
        line.close()
        return
    took = time.perf_counter() - began
    if status == 200:
        tally.answered += 1
        tally.wrong += not same(json.loads(body), truths[place])
        tally.answer_seconds.append(took)
    elif status == 429:
        tally.refused += 1
        tally.refusal_seconds.append(took)
        tally.no_retry_after += "retry-after" not in headers
    elif status == 503:
        tally.late += 1
    else:
        tally.failed.append(str(status))


async def closed(port: int, blobs: list[bytes], truths: list[dict], seconds: float) -> tuple[float, Tally]:
    """Askers who wait: answers a second."""
    tally, end = Tally(), time.perf_counter() + seconds

    async def asker(number: int) -> None:
        line, place = Line(port), number
        while time.perf_counter() < end:
            await ask(line, place % PICTURES, blobs, truths, tally)
            place += ASKERS
        line.close()

    began = time.perf_counter()
    await asyncio.gather(*(asker(number) for number in range(ASKERS)))
    return tally.answered / (time.perf_counter() - began), tally


async def flood(port: int, blobs: list[bytes], truths: list[dict], rate: float, seconds: float) -> tuple[Tally, int, float]:
    """`rate` requests a second, come what may; the tally, how many were sent, and how late the sender itself was at worst."""
    tally, free, running = Tally(), [], set()
    began, sent, lag = time.perf_counter(), 0, 0.0

    async def one(place: int) -> None:
        line = free.pop() if free else Line(port)
        await ask(line, place, blobs, truths, tally)
        free.append(line)

    while (now := time.perf_counter() - began) < seconds:
        while sent < now * rate:
            lag = max(lag, now - sent / rate)
            task = asyncio.ensure_future(one(sent % PICTURES))
            running.add(task)
            task.add_done_callback(running.discard)
            sent += 1
        await asyncio.sleep(0.002)
    await asyncio.gather(*running)
    for line in free:
        line.close()
    return tally, sent, lag


class Memory(threading.Thread):
    """Resident megabytes of a process, looked at twice a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.most, self.over = pid, 0.0, threading.Event()
        self.first = self.now()

    def now(self) -> float:
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]

    def run(self) -> None:
        while not self.over.wait(0.5):
            self.most = max(self.most, self.now())


def start(folder: Path) -> tuple[subprocess.Popen, int]:
    env = os.environ | {"OMMA_TOKEN": TOKEN, "OMMA_LANG": "en", "PYTHONUNBUFFERED": "1"}
    words = [sys.executable, "-m", "omma", "serve", str(folder), "--port", "0"]
    server = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=env)
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
            threading.Thread(target=server.stderr.read, daemon=True).start()
            return server, int(found[1])
    raise SystemExit("the service did not start")


def percentile(values: list[float], share: float) -> float:
    return float(np.quantile(values, share)) * 1000 if values else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="torchvision/resnet18")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--factor", type=float, default=5.0)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        blobs = pictures(PICTURES)
        truths = make_bundle(Path(folder) / "bundle", words.model, words.size, blobs)
        shares = np.array([list(truth["probabilities"].values()) for truth in truths])
        apart = np.abs(shares[:, None] - shares[None]).max(2) + np.eye(PICTURES)
        assert apart.min() > 4e-3, "two pictures have the same answer: a swapped one would not show"
        server, port = start(Path(folder) / "bundle")
        memory = Memory(server.pid)
        try:
            asyncio.run(closed(port, blobs, truths, 3))  # warm
            capacity, calm = asyncio.run(closed(port, blobs, truths, 10))
            memory.first = memory.now()
            memory.start()
            tally, sent, lag = asyncio.run(flood(port, blobs, truths, words.factor * capacity, words.seconds))
            memory.over.set()
            after, _ = asyncio.run(closed(port, blobs, truths, 5))
        finally:
            began = time.perf_counter()
            server.send_signal(signal.SIGTERM)
            code = server.wait(15)
            stopped = time.perf_counter() - began
    done = tally.answered / words.seconds
    rows = {
        "capacity, answers/s": capacity, "sent": sent, "answered": tally.answered, "wrong": tally.wrong + calm.wrong,
        "refused (429)": tally.refused, "late (503)": tally.late,
        "failed": len(tally.failed), "refusals without Retry-After": tally.no_retry_after,
        "goodput / capacity": done / capacity, "refusal p50, ms": percentile(tally.refusal_seconds, 0.5),
        "refusal p99, ms": percentile(tally.refusal_seconds, 0.99), "refusal max, ms": percentile(tally.refusal_seconds, 1.0),
        "answer p50, ms": percentile(tally.answer_seconds, 0.5), "answer p99, ms": percentile(tally.answer_seconds, 0.99),
        "memory before, MB": memory.first, "memory at most, MB": memory.most, "sender late by at most, ms": lag * 1000,
        "capacity afterwards, answers/s": after, "exit code": code, "stopped after, s": stopped,
    }  # fmt: skip
    report("service", [{"what": key, "value": value} for key, value in rows.items()], setting=vars(words), failures=tally.failed[:10])


if __name__ == "__main__":
    begin(main)
