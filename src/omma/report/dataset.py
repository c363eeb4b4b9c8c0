"""The report of a look through a dataset: what was found, with the pictures it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from omma.answers.boxes import Boxes
from omma.answers.mask import Mask
from omma.answers.picture import Picture
from omma.checks.conflicts import classes, told
from omma.checks.finding import Finding, Seen, counted
from omma.data.decode import to_rgb8
from omma.data.recast import kind_of
from omma.errors import DataError
from omma.report.page import Page, Text
from omma.words import both

if TYPE_CHECKING:
    from omma.checks.findings import Findings

PICTURES, GROUPS, NAMES, SIDE = 12, 8, 50, 160  # shown of one finding; every file is in findings.json


def dataset_page(found: Findings) -> Page:
    """Findings with pictures, then what the dataset is like."""
    seen = found.seen
    count = {"faults": len(found.faults), "advice": len(found.findings) - len(found.faults)}
    page = Page(both("check.title", name=found.data, count=f"{len(seen.dataset):,}"), both("check.lead", **count))
    if not found.faults:
        page.text(both("check.clean"), "good")
    for finding in found.findings:
        _finding(page, finding, found)
    page.section(both("check.seen")).facts(_facts(found))
    if shares := Counter(name for sample in seen.dataset.samples for name in classes(sample)):
        page.heading(both("check.balance"))
        head = both("check.objects") if seen.objects else both("check.count_head")
        page.table([(name, n) for name, n in shares.most_common(NAMES)], (both("check.class_head"), head))
    return page


def _finding(page: Page, finding: Finding, found: Findings) -> None:
    what, do = finding.texts()
    page.section(what).text({tongue: both("check.what_to_do", do=do[tongue])[tongue] for tongue in do}, _KIND[finding.severity])
    if finding.groups:
        for group in finding.groups[:GROUPS]:
            page.pictures(_pictures(finding, found, group[:6]), side=SIDE)
    else:
        page.pictures(_pictures(finding, found, list(finding.places[:PICTURES])), side=SIDE)
    names = finding.names(found.seen.dataset)
    rows = [(name, finding.reasons.get(name, "")) for name in names[:NAMES]]
    page.table(rows, (both("check.file_head"), both("check.why_head")), "names")
    if len(names) > NAMES:
        page.text(both("check.and_more", count=len(names) - NAMES), "quiet")


_KIND = {"fault": "warn", "advice": "note"}


def _pictures(finding: Finding, found: Findings, places: Sequence[int]) -> list[tuple[np.ndarray, Text, str]]:
    """What can be read of the pictures at these places, with what is known of each."""
    rows: list[tuple[np.ndarray, Text, str]] = []
    for i in places:
        sample = found.seen.dataset.samples[i]
        try:
            picture = to_rgb8(found.seen.dataset.picture(i))
        except (DataError, OSError):
            continue
        if isinstance(sample.truth, Boxes | Mask) and (sample.truth.height, sample.truth.width) == picture.shape[:2]:
            picture = sample.truth.draw(picture)  # where things are is what the finding is about
        about = [*told(sample), *([sample.split] if sample.split else []), sample.id.rpartition("/")[2]]
        rows.append((picture, " · ".join(about), sample.id))
    return rows


def _facts(found: Findings) -> list[tuple[Text, Text]]:
    looks, dataset, near = found.seen.looks, found.seen.dataset, found.seen.near
    known = looks.readable()
    formats = Counter(name for name in looks.formats.tolist() if name)
    rows: list[tuple[Text, Text]] = [
        (both("check.pictures"), f"{len(dataset):,}"),
        (both("check.readable"), f"{int(known.sum()):,}"),
        (both("check.exact_groups"), f"{len(near.exact):,}"),
        (both("check.near_pairs"), f"{len(near.near):,}"),
    ]
    if known.any():
        rows.append((both("check.sizes"), f"{int(np.median(looks.width[known]))} × {int(np.median(looks.height[known]))}"))
    if dataset.names and kind_of(dataset) != Picture.kind:
        rows.append((both("check.classes"), len(dataset.names)))
    if parts := dataset.counts():
        rows.append((both("check.parts"), ", ".join(f"{name} {n:,}" for name, n in parts.items())))
    if formats:
        rows.append((both("check.formats"), ", ".join(f"{name} {n:,}" for name, n in formats.most_common())))
    return rows + _of_objects(found.seen)


def _of_objects(seen: Seen) -> list[tuple[Text, Text]]:
    """How many objects there are, in a picture and altogether, and how large."""
    boxes = [truth.boxes[counted(truth)] for _, truth in seen.objects]
    each, all_boxes = [len(rows) for rows in boxes], np.concatenate(boxes) if boxes else np.zeros((0, 4))
    if not len(all_boxes):
        return []
    sides = np.sqrt((all_boxes[:, 2:] - all_boxes[:, :2]).prod(1))
    return [
        (both("check.objects"), f"{len(all_boxes):,}"),
        (both("check.objects_each"), f"{np.median(each):g} – {max(each)}"),
        (both("check.objects_side"), " – ".join(f"{value:.0f}" for value in (sides.min(), np.median(sides), sides.max()))),
    ]
