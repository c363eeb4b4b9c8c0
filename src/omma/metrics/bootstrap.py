"""Intervals and comparisons: every metric over the same drawn pictures.

Pictures are drawn with replacement (whole groups where there are groups; Efron 1979), the number is computed for each drawing, and
the spread of those numbers gives its standard error s. Percentiles of the drawings are too narrow near 0 and 1 (an accuracy of 0.97
on 100 pictures is covered 85 % of the time), so s is used on the scale where the number is closest to normal:

    share      Wilson's interval (1927) at the effective number of pictures v(1 − v)/s² (Korn & Graubard 1998)
    positive   v · exp(± t s_log), s_log the spread of the logarithms, or s/v, which is the same to first order, where that is less: some
               drawings may have none of the few pictures that carry all of v, and nearly nothing has a logarithm without bound
    below_one  the same for 1 − v
    distance   ECE: chance only adds to it, in the sample as in the drawings, so what the drawings add is taken off first
    inflated   FID: the same without bound. v · exp(± t s/v); drawings that chance has made larger differ less in their logarithms
    free       v ± t s

with t the quantile of Student's distribution at (units − 1) degrees of freedom. `tests/test_bootstrap.py` holds the coverage to 92–98 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from omma.answers.answer import Answer
from omma.metrics.counts import ratio
from omma.metrics.metric import Metric, Records, Score
from omma.progress import Watch
from omma.words import say

LEVEL = 0.95
DRAWS, FEWEST = 1000, 200
# Pictures × classes × drawings that a ranking may take: about ten seconds of one core.
WORK = 300_000_000
# Numbers held at once: 4 million float32 weights are 16 MB, which stays near the caches.
AT_ONCE = 4_000_000


@dataclass(slots=True, frozen=True)
class Verdict:
    """Whether A is better than B on the same pictures.

    Args:
        word: better, worse or cannot tell.
        difference: of the numbers, A − B, with its paired 95 % interval.
        p: two-sided, of a permutation test that swaps the two models' answers picture by picture (or group by group).
    """

    word: Literal["better", "worse", "cannot tell"]
    difference: Score
    p: float

    def json(self) -> dict[str, Any]:
        return {"verdict": self.word, "difference": self.difference.json(), "p": self.p}


@dataclass(slots=True)
class Measured:
    """Scores of several metrics on the same pictures.

    Args:
        scores: metric → score.
        parts: metric → name (class or number) → score, for metrics that have parts.
        records: metric → what each picture contributed.
        draws: how many drawings the intervals rest on, but for metrics that ask for fewer.
    """

    scores: dict[str, Score]
    parts: dict[str, dict[str, Score]]
    records: dict[str, Records]
    draws: int = DRAWS


def drawn(count: int, groups: Sequence[Any] | None = None, draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each of `count` pictures is drawn: blocks (count, ≤ draws) float32, the same for the same arguments."""
    rng = np.random.default_rng([seed, 0x6F6D6D61])
    member = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    units = count if member is None else int(member.max(initial=-1)) + 1
    block = max(1, min(draws, AT_ONCE // max(1, count)))
    for start in range(0, draws, block):
        width = min(block, draws - start)
        weights = np.stack([np.bincount(rng.integers(0, units, units), minlength=units) for _ in range(width)], axis=1)
        yield (weights if member is None else weights[member]).astype(np.float32)


def units_of(count: int, groups: Sequence[Any] | None) -> int:
    """How many things are drawn: pictures, or groups of them."""
    return count if groups is None else len(np.unique(np.asarray(groups)))


def interval(metric: Metric, records: Records, groups: Sequence[Any] | None = None, draws: int = DRAWS, seed: int = 0) -> Score:
    """The number with its 95 % interval, see the first lines of this file.

    Args:
        records: what `metric.records` gave, N pictures in front.
        groups: (N,) names of what belongs together (patient, video); None draws single pictures.
    """
    return _measure({"it": metric}, {"it": records}, groups, draws, seed, Watch()).scores["it"]


def scores(
    metrics: dict[str, Metric],
    predictions: Sequence[Answer],
    truths: Sequence[Answer],
    groups: Sequence[Any] | None = None,
    draws: int | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> dict[str, Score]:
    """Every metric with its interval, over one set of drawings; `draws` as in `measure`."""
    return measure(metrics, predictions, truths, groups, draws, seed, watch).scores


def measure(
    metrics: dict[str, Metric],
    predictions: Sequence[Answer],
    truths: Sequence[Answer],
    groups: Sequence[Any] | None = None,
    draws: int | None = None,
    seed: int = 0,
    watch: Watch | None = None,
) -> Measured:
    """`scores`, with the parts of each metric (classes, numbers) and the records they came from.

    Args:
        draws: default 1,000; fewer (at least 200, which know s within 5 %) where pictures × classes make that a matter of minutes. A
            metric has no more than its own `draws`.
    """
    records = {key: metric.records(predictions, truths) for key, metric in metrics.items()}
    if draws is None:
        most = max([1, *(len(metric.names) for metric in metrics.values())]) * max(1, len(predictions))
        draws = int(np.clip(WORK // most, FEWEST, DRAWS))
    return _measure(metrics, records, groups, draws, seed, watch or Watch())


def _measure(metrics, records, groups, draws: int, seed: int, watch: Watch) -> Measured:
    count = _count(next(iter(records.values())))
    if not count:
        nothing = Score(np.nan, np.nan, np.nan, 0)
        return Measured(dict.fromkeys(metrics, nothing), {}, records, draws)
    whole: dict[str, list[np.ndarray]] = {key: [] for key in metrics}
    parts: dict[str, list[np.ndarray]] = {key: [] for key in metrics}
    done = 0
    once = np.ones((count, 1), np.float32)
    _add(metrics, records, once, whole, parts)
    for weights in drawn(count, groups, draws, seed):
        _add(metrics, records, weights, whole, parts, done)
        done += weights.shape[1]
        watch.step(say("evaluate.intervals"), done, draws)
    watch.end(say("evaluate.intervals"))
    units = units_of(count, groups)
    share = units / count
    result = Measured({}, {}, records, draws)
    for key, metric in metrics.items():
        values = np.concatenate(whole[key])
        carriers = metric.carriers(records[key]) * share
        result.scores[key] = _score(metric, values, even_share(carriers), units, count)
        if parts[key]:
            rows = np.concatenate(parts[key], axis=1)
            each = carriers if len(carriers) == len(rows) else np.full(len(rows), carriers.sum())
            result.parts[key] = {
                name: _score(metric, row, carried, units, count) for name, row, carried in zip(metric.names, rows, each, strict=True)
            }
    return result


def _add(metrics, records, weights: np.ndarray, whole: dict[str, list], parts: dict[str, list], done: int = 0) -> None:
    for key, metric in metrics.items():
        mine = weights if metric.draws is None else weights[:, : max(0, metric.draws - done)]
        if not mine.shape[1]:
            continue
        all_of_it, each = metric.both(records[key], mine)
        whole[key].append(np.asarray(all_of_it, float))
        if each is not None:
            parts[key].append(np.asarray(each, float))


def _score(metric: Metric, values: np.ndarray, carried: float, units: int, count: int) -> Score:
    """The first of `values` is the number itself, the others are its drawings."""
    value, draws = float(values[0]), values[1:]
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(value) or len(draws) < 2 or units < 2:
        return Score(value, np.nan, np.nan, count, metric.unit, dict(metric.protocol) or None)
    # A ranking of 20 positives among 10,000 pictures is known as well as 20 pictures tell.
    freedom = max(2.0, min(units, carried) - 1)
    t, widen = student(freedom), ((freedom + 1) / freedom) ** 0.5
    low, high = INTERVALS[metric.scale](value, draws, t, widen, carried)
    return Score(value, min(low, value), min(max(high, value), metric.ceiling), count, metric.unit, dict(metric.protocol) or None)


def _share(value: float, draws: np.ndarray, t: float, widen: float, carried: float) -> tuple[float, float]:
    error = float(draws.std()) * widen
    spread = value * (1 - value)
    number = spread / error**2 if error > 1e-9 and spread > 0 else carried
    return wilson(value, number, t) if number > 0 else (0.0, 1.0)


def wilson(share: float, number: float, z: float) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share of `number` trials."""
    centre = (share + z**2 / (2 * number)) / (1 + z**2 / number)
    half = z * (share * (1 - share) / number + z**2 / (4 * number**2)) ** 0.5 / (1 + z**2 / number)
    return max(0.0, centre - half), min(1.0, centre + half)


def _positive(value: float, draws: np.ndarray, t: float, widen: float, carried: float) -> tuple[float, float]:
    if value <= 0:
        return value, value
    above = draws[draws > 0]
    spread = min(float(draws.std()) / value, float(np.log(above).std()) if len(above) > 1 else math.inf)
    factor = math.exp(min(t * widen * spread, 50.0))
    return value / factor, value * factor


def _inflated(value: float, draws: np.ndarray, t: float, widen: float, carried: float) -> tuple[float, float]:
    if value <= 0:
        return value, value
    factor = math.exp(min(t * widen * float(draws.std()) / value, 50.0))
    return value / factor, value * factor


def _below_one(value: float, draws: np.ndarray, t: float, widen: float, carried: float) -> tuple[float, float]:
    low, high = _positive(1 - value, 1 - draws, t, widen, carried)
    return 1 - high, 1 - low


def _distance(value: float, draws: np.ndarray, t: float, widen: float, carried: float) -> tuple[float, float]:
    # The square of a distance is truth² + noise². Drawing adds the noise² a second time: so it can be told, and is taken off.
    squares = draws**2
    centre = 2 * value**2 - float(squares.mean())
    reach = t * widen * float(squares.std())
    return max(0.0, centre - reach) ** 0.5, min(1.0, max(0.0, centre + reach) ** 0.5)


def _free(value: float, draws: np.ndarray, t: float, widen: float, carried: float) -> tuple[float, float]:
    error = float(draws.std()) * widen
    return value - t * error, value + t * error


INTERVALS = {
    "share": _share,
    "positive": _positive,
    "below_one": _below_one,
    "distance": _distance,
    "inflated": _inflated,
    "free": _free,
}


def student(freedom: float, level: float = LEVEL) -> float:
    """Two-sided quantile of Student's t, by Cornish–Fisher expansion (Abramowitz & Stegun 26.7.5): within 1 % from 4 degrees of freedom."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3


def even_share(counts: np.ndarray) -> float:
    """How many pictures a mean over parts rests on, when each part is as uncertain as 1 / its count: K² / Σ 1/n."""
    counts = np.asarray(counts, float)
    return float((counts > 0).sum() ** 2 / ratio(np.ones_like(counts), counts, 0.0).sum()) if (counts > 0).any() else 0.0


def compare(metric: Metric, a: Records, b: Records, groups: Sequence[Any] | None = None, draws: int = DRAWS, seed: int = 0) -> Verdict:
    """Whether the answers behind `a` are better than those behind `b`, both about the same pictures in the same order.

    Better or worse needs both: a paired bootstrap interval of the difference that leaves out 0, and p < 0.05 in the permutation test
    (which is exact where few pictures differ and the bootstrap is not; for accuracy it is McNemar's test).
    """
    count = _count(a)
    assert count == _count(b), "both must have answered the same pictures"
    joined = {key: np.concatenate([a[key], b[key]]) for key in a}

    def differences(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return metric.summaries(joined, first) - metric.summaries(joined, second)

    def sides(weights: np.ndarray, swap: np.ndarray | bool = False) -> np.ndarray:
        """Weights of A's answers and then of B's, exchanged where `swap`."""
        return np.concatenate([np.where(swap, 0, weights), np.where(swap, weights, 0)]).astype(np.float32)

    once = np.ones((count, 1), np.float32)
    value = float(differences(sides(once), sides(once, True))[0])
    moved, chance = [], []
    member = np.arange(count) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    rng = np.random.default_rng([seed, 0x70657266])
    for weights in drawn(count, groups, min(draws, metric.draws or draws), seed):
        moved.append(differences(sides(weights), sides(weights, True)))
        swap = rng.integers(0, 2, (int(member.max()) + 1, weights.shape[1])).astype(bool)[member]
        whole = np.ones_like(weights)
        chance.append(differences(sides(whole, swap), sides(whole, ~swap)))
    units = units_of(count, groups)
    drawings = np.concatenate(moved)
    low, high = _free(value, drawings[np.isfinite(drawings)], student(max(1, units - 1)), (units / max(1, units - 1)) ** 0.5, units)
    exchanged = np.abs(np.concatenate(chance))
    p = float((1 + (exchanged >= abs(value) - 1e-9).sum()) / (1 + len(exchanged)))
    sure = (low > 0 or high < 0) and p < 1 - LEVEL
    good = (value > 0) == (metric.better == "higher")
    return Verdict("cannot tell" if not sure else "better" if good else "worse", Score(value, low, high, count), p)


def _count(records: Records) -> int:
    return len(next(iter(records.values())))
