"""10,000 mutated pictures through the decoder: bit flips, truncation, splices, length fields, over 60 seeds of every mode and format.

    python benchmarks/fuzz_decode.py [--count 10000] [--seed 0]

The decoder runs in a child process that is watched from outside: a child that dies is a crash, one that is silent for two seconds a hang.
Every outcome must be a picture or a DataError that names the file. A picture counts as reaching pixel decoding when its header was
accepted and its reader was called.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import resource
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from omma.data import decode as decoder
from omma.errors import DataError

HANG = 2.0


def _pil(picture: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def _tiff(values: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def seeds() -> dict[str, bytes]:
    """name → file: 60 sound pictures of 12 modes and 7 formats, 24–96 pixels wide."""
    y, x = np.mgrid[0:48, 0:64]
    rgba = np.stack([x * 4, y * 5, (x * y) % 256, 255 - x * 3], 2).astype(np.uint8)
    colour = Image.fromarray(rgba[..., :3])
    grey = Image.fromarray(rgba[..., 0])
    modes = {
        "1": grey.convert("1"), "L": grey, "LA": Image.merge("LA", [grey, grey]), "P": colour.quantize(32), "P2": colour.quantize(4),
        "RGB": colour, "RGBA": Image.fromarray(rgba), "CMYK": colour.convert("CMYK"),
        "I;16": Image.fromarray(rgba[..., 0].astype(np.uint16) * 257),
        "noise": Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)), "thin": colour.crop((0, 0, 64, 1)),
        "small": colour.crop((0, 0, 3, 2)),
    }  # fmt: skip
    about = Image.Exif()
    about[274] = 6
    plain = ("1", "L", "P", "RGB", "noise", "thin", "small")
    wanted: dict[str, tuple[str, tuple[str, ...], dict[str, object]]] = {
        "png": ("PNG", (*plain, "LA", "P2", "RGBA", "I;16"), {}),
        "png exif": ("PNG", ("RGB", "RGBA"), {"exif": about}),
        "jpeg": ("JPEG", ("L", "RGB", "CMYK", "noise", "thin", "small"), {}),
        "jpeg progressive exif": ("JPEG", ("L", "RGB", "noise"), {"progressive": True, "exif": about}),
        "webp": ("WEBP", ("RGB", "RGBA", "noise", "thin", "small"), {}),
        "webp lossless exif": ("WEBP", ("RGB", "RGBA", "noise"), {"lossless": True, "exif": about}),
        "bmp": ("BMP", plain, {}),
        "gif": ("GIF", ("L", "P", "small"), {}),
        "ppm": ("PPM", ("1", "L", "RGB", "small"), {}),
        "tiff": ("TIFF", ("1", "L", "RGB", "RGBA", "CMYK", "I;16"), {}),
        "tiff lzw": ("TIFF", ("RGB", "P"), {"compression": "tiff_lzw"}),
        "tiff jpeg": ("TIFF", ("RGB",), {"compression": "jpeg"}),
        "tiff group4": ("TIFF", ("1",), {"compression": "group4"}),
    }
    made = {f"{name} {mode}": _pil(modes[mode], format, **options) for name, (format, chosen, options) in wanted.items() for mode in chosen}
    frames = [colour.rotate(turn) for turn in (90, 180)]
    made |= {f"{f.lower()} frames": _pil(colour, f, save_all=True, append_images=frames) for f in ("GIF", "WEBP", "TIFF", "PNG")}
    made |= {
        "tiff 16 tiles": _tiff(
            rgba[..., :3].astype(np.uint16) * 257, photometric="rgb", tile=(16, 16), compression="deflate", predictor=True
        ),
        "tiff float planes": _tiff(rgba.transpose(2, 0, 1).astype(np.float32), photometric="minisblack", planarconfig="separate"),
    }
    return made


def mutate(data: bytes, others: list[bytes], chance: np.random.Generator) -> bytes:
    """One to four injuries of one kind or several."""
    raw = bytearray(data)
    for _ in range(int(chance.integers(1, 5))):
        if len(raw) < 8:
            break
        # Most of the harm goes where pixels are: headers alone would be refused before any native code is reached.
        low = 0 if chance.random() < 0.4 else min(len(raw) // 3, len(raw) - 5)
        place = int(chance.integers(low, len(raw) - 4))
        kind = int(chance.integers(0, 6))
        if kind <= 1:
            for _ in range(int(chance.integers(1, 9))):
                raw[int(chance.integers(low, len(raw)))] ^= 1 << int(chance.integers(0, 8))
        elif kind == 2 and chance.random() < 0.5:
            del raw[place:]
        elif kind == 3:
            other = others[int(chance.integers(0, len(others)))]
            start, length = int(chance.integers(0, len(other))), int(chance.integers(1, 64))
            raw[place : place + (length if chance.random() < 0.5 else 0)] = other[start : start + length]
        elif kind == 4:
            odd = [0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, len(raw), len(raw) + 1]
            size = int(chance.choice([1, 2, 4]))
            value = odd[int(chance.integers(0, len(odd)))] & ((1 << 8 * size) - 1)
            raw[place : place + size] = value.to_bytes(size, "big" if chance.random() < 0.5 else "little")
        else:
            length = int(chance.integers(1, 200))
            raw[place : place + length] = bytes(length) if chance.random() < 0.5 else raw[place : place + length][::-1]
    return bytes(raw)


def picture(index: int, seed: int, sound: list[bytes]) -> bytes:
    """Mutated picture number `index`, a pure function of both numbers."""
    chance = np.random.default_rng([seed, index])
    return mutate(sound[index % len(sound)], sound, chance)


def one(data: bytes, name: str) -> dict:
    """What became of one picture: decoded, refused by name, or an exception that should not be."""
    reached: list[bool] = []
    readers = dict(decoder._READERS)

    def noting(reader: Callable) -> Callable:
        def read(raw: bytes, head: object) -> np.ndarray:
            reached.append(True)
            return reader(raw, head)

        return read

    started = time.perf_counter()
    decoder._READERS.update({kind: noting(reader) for kind, reader in readers.items()})
    try:
        array = decoder.decode(data, name=name)
        decoder.to_rgb8(array)
        outcome, why = "decoded", ""
    except DataError as error:
        why = str(error)
        outcome = "refused" if why.startswith(name) and len(why) > len(name) + 4 and "\n" not in why else "unnamed"
    except Exception as error:
        outcome, why = "escaped", f"{type(error).__name__}: {error}"
    finally:
        decoder._READERS.update(readers)
    return {"outcome": outcome, "why": why[:200], "seconds": time.perf_counter() - started, "reached": bool(reached)}


def _resident() -> float:
    """Memory this process holds now, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def child(first: int, last: int, seed: int) -> None:
    """Decode a range of pictures, one line of JSON each."""
    sound = list(seeds().values())
    for data in sound:
        decoder.decode(data)
    for index in range(first, last):
        row = one(picture(index, seed, sound), f"picture-{index}.jpg")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        print(json.dumps(row | {"index": index, "resident": _resident(), "peak": peak}), flush=True)


def watch(count: int, seed: int) -> list[dict]:
    """Rows of every picture; a dead or silent child is a row too, and another goes on behind it."""
    rows: list[dict] = []
    while len(rows) < count:
        command = [sys.executable, __file__, "--child", str(len(rows)), str(count), "--seed", str(seed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None
            patience, buffer = 60.0, b""
            while len(rows) < count:
                if select.select([process.stdout], [], [], patience)[0]:
                    block = os.read(process.stdout.fileno(), 1 << 16)
                    *lines, buffer = (buffer + block).split(b"\n")
                    rows += map(json.loads, lines)
                    patience = 20.0
                    if block:
                        continue
                    outcome, patience = "crash", 0.0
                else:
                    outcome = "hang"
                if len(rows) < count:
                    rows.append({"index": len(rows), "outcome": outcome, "seconds": patience, "reached": True, "why": str(process.poll())})
                break
            process.kill()
    return rows


def summary(rows: list[dict]) -> dict:
    """The table: outcomes, times, memory."""
    outcomes = Counter(row["outcome"] for row in rows)
    resident = [row["resident"] for row in rows if "resident" in row]
    settled = resident[min(len(resident) // 10, 500) :]
    return {
        "pictures": len(rows),
        "decoded": outcomes["decoded"],
        "refused, by name": outcomes["refused"],
        "refused without a name": outcomes["unnamed"],
        "other exceptions": outcomes["escaped"],
        "crashes": outcomes["crash"],
        "hangs over 2 s": sum(row["outcome"] == "hang" or row["seconds"] > HANG for row in rows),
        "reached pixel decoding": f"{sum(row['reached'] for row in rows) / len(rows):.1%}",
        "slowest, ms": round(1e3 * max(row["seconds"] for row in rows), 1),
        "memory growth after the first tenth, MB": round(settled[-1] - settled[0], 1) if settled else 0.0,
        "peak memory, MB": round(max((row["peak"] for row in rows if "peak" in row), default=0.0), 1),
    }


def main() -> None:
    """Run, print the table, write `benchmarks/out/fuzz_decode.json`."""
    from _table import report

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        return child(*given.child, given.seed)
    started = time.perf_counter()
    rows = watch(given.count, given.seed)
    table = summary(rows) | {"seeds": len(seeds()), "seconds": round(time.perf_counter() - started, 1)}
    report("fuzz_decode", [{"what": key, "value": value} for key, value in table.items()], seed=given.seed)
    for row in rows:
        if row["outcome"] not in ("decoded", "refused") or row["seconds"] > HANG:
            print("!", row)
    return None


if __name__ == "__main__":
    main()
