"""Open the studio: see a dataset, train, watch, try and label in the browser, on this machine alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omma.catalog import need
from omma.errors import OmmaError
from omma.progress import Watch
from omma.words import say

PORT = 8420


@dataclass(slots=True)
class Wanted:
    """A page of the studio that is to be opened; the command line opens it, for verbs do not know the studio.

    Args:
        data: what is to be looked at, a path made absolute or a source's name; None = the list of projects.
        port: where; 0 takes any free one.
        browser: open it at once.
        page: the page within the project, such as `data`.
    """

    data: str | None
    port: int
    browser: bool
    page: str = "data"

    def json(self) -> dict[str, Any]:
        return {"data": self.data, "port": self.port, "page": self.page}


def studio(folder: str | None = None, *, port: int = PORT, open_: bool = True, watch: Watch = Watch()) -> Wanted:
    """See and steer everything in the browser: pictures and their faults, labels, runs as they learn, answers and why.

    Args:
        folder: a folder of pictures, any dataset, or a source's name; the list of projects when left out.
        port: where it listens, on this machine only; 0 takes any free one.
        open_: open the browser at once.

    Raises:
        OmmaError: a package is missing, or there is no such path or source.
    """
    from omma.data.sources import sources

    need("starlette", "studio", "omma studio")
    need("uvicorn", "studio", "omma studio")
    if folder is None:
        return Wanted(None, port, open_)
    path = Path(folder).expanduser()
    if path.exists():
        return Wanted(str(path.resolve()), port, open_)
    if folder in sources():
        return Wanted(folder, port, open_)
    raise OmmaError(say("studio.nowhere"), folder, say("studio.nowhere_fix"))
