"""All findings about a dataset, and the clean list that leaves the faulty ones out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from omma import catalog
from omma.answers.answer import Answer
from omma.answers.boxes import Boxes
from omma.answers.label import Label
from omma.answers.labels import Labels
from omma.checks._pairs import look_at_pairs
from omma.checks.finding import Finding, Seen
from omma.data.duplicates import near_duplicates
from omma.data.looks import look_over
from omma.data.recast import kind_of
from omma.data.sample import Dataset
from omma.progress import Watch
from omma.words import say

SHOWN = 3  # file names in a line for people


@dataclass
class Findings:
    """What `omma check` found.

    Args:
        data: what was asked for.
        seen: dataset, looks and duplicates.
        findings: faults first, larger ones first.
        report, clean: files that were written.
        kept: samples of the clean list.
        target: the same about the pictures a model is to adapt to.
    """

    data: str
    seen: Seen
    findings: list[Finding]
    report: Path | None = None
    clean: Path | None = None
    kept: int | None = None
    notes: list[str] = field(default_factory=list)
    target: Findings | None = None

    @property
    def faults(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "fault"]

    @property
    def code(self) -> int:
        """Exit code: 1 for faulty files or labels, 0 for advice alone."""
        return 1 if self.faults or (self.target is not None and self.target.faults) else 0

    def json(self) -> dict[str, Any]:
        """{"data", "root", "pictures", "faults", "advice", "findings", "near_pairs", "report", "clean", "notes"}; every file is named.

        `target` is the same of pictures a model is to adapt to, where they were looked at.
        `findings` are rows of `Finding.json`; `faults` and `advice` count the findings of each severity; `near_pairs` are
        [first, second, "same" or "mirrored"].
        """
        dataset = self.seen.dataset
        return {
            "data": self.data,
            "root": str(dataset.root),
            "pictures": len(dataset),
            "faults": len(self.faults),
            "advice": len(self.findings) - len(self.faults),
            "findings": [finding.json(dataset) for finding in self.findings],
            "near_pairs": [[dataset.samples[a].id, dataset.samples[b].id, how] for a, b, how in self.seen.near.near],
            "report": str(self.report) if self.report else None,
            "clean": str(self.clean) if self.clean else None,
            "notes": self.notes,
            **({} if self.target is None else {"target": self.target.json()}),
        }

    def lines(self) -> list[str]:
        """Each finding, its first files, and what to do about it."""
        lines = [say("check.title", name=self.data, count=f"{len(self.seen.dataset):,}")]
        for finding in self.findings:
            names = [shown(name, finding.reasons) for name in finding.names(self.seen.dataset)]
            more = [say("check.and_more", count=len(names) - SHOWN)] if len(names) > SHOWN else []
            lines.append(say(f"check.line_{finding.severity}", what=finding.what()))
            lines.append(say("check.line_files", files=", ".join(names[:SHOWN] + more)))
            lines.append(say("check.line_do", do=finding.do()))
        lines += [] if self.faults else [say("check.clean")]
        lines += self.notes
        lines += [say("check.report_is", path=self.report)] if self.report else []
        return lines + ([] if self.target is None else self.target.lines())


def shown(name: str, reasons: dict[str, str]) -> str:
    """A file's name and, where it has one, the reason."""
    return f"{name} ({reasons[name]})" if name in reasons else name


def inspect(dataset: Dataset, data: str, watch: Watch = Watch(), *, labels: bool = True) -> Findings:
    """Look at every picture once and ask every check; with `labels` off, all but what would miss them."""
    looks = look_over(dataset, watch)
    seen = Seen(dataset, looks, near_duplicates(dataset, watch, looks), look_at_pairs(dataset, watch))
    found: list[Finding] = []
    for name in watch.each(say("check.comparing"), catalog.names("checks")):
        found += catalog.find("checks", name)(seen)
    found = [finding for finding in found if labels or finding.kind != "unlabelled"]
    found.sort(key=lambda finding: (finding.severity != "fault", -finding.count, finding.kind))
    return Findings(data, seen, found)


def write_clean(found: Findings, path: Path) -> None:
    """The dataset without what faults drop, class names written one way; notes say what was left out and why.

    Raises:
        DiskError, OSError: it cannot be written.
    """
    from omma.formats import csv

    dataset = found.seen.dataset
    if any(sample.path is None for sample in dataset.samples):
        found.notes.append(say("check.no_clean"))
        return
    if (kind := kind_of(dataset)) not in (None, *csv.HOLDS):
        found.notes.append(say("check.no_clean_kind", kind=say(f"convert.kind.{kind}")))
        return
    why: dict[int, str] = {}
    rename: dict[str, str] = {}
    for finding in found.faults:
        for i in finding.drop:
            why.setdefault(i, finding.kind)
        rename |= finding.rename
    kept = [i for i in range(len(dataset)) if i not in why]
    samples = [replace(dataset.samples[i], truth=_renamed(dataset.samples[i].truth, rename)) for i in kept]
    found.notes += csv.write(replace(dataset, samples=samples), path)
    found.clean, found.kept = path, len(kept)
    found.notes.append(say("check.clean_is", path=path, kept=f"{len(kept):,}", count=f"{len(dataset):,}"))
    if why:
        causes = ", ".join(f"{kind} {n}" for kind, n in Counter(why.values()).most_common())
        found.notes.append(say("check.left_out", count=len(why), why=causes))
    if rename:
        found.notes.append(say("check.renamed", names=", ".join(f"'{old}' → '{new}'" for old, new in list(rename.items())[:8])))


def _renamed(truth: Answer | None, rename: dict[str, str]) -> Answer | None:
    if isinstance(truth, Label) and truth.label in rename:
        return Label(rename[truth.label])
    if isinstance(truth, Labels):
        return Labels(tuple(dict.fromkeys(rename.get(name, name) for name in truth.labels)))
    if isinstance(truth, Boxes):
        return replace(truth, labels=[rename.get(name, name) for name in truth.labels])
    return truth
