"""The headers of the example frames an instrument file is proposed from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from cpp_framework.camera.hdu import HduHeader, Value
from cpp_framework.camera.rules import look_up
from cpp_framework.errors import RawFileError


class Examples:
    """The headers of several example frames, each in order of precedence."""

    def __init__(self, frames: Mapping[Path, Sequence[HduHeader]]) -> None:
        self.frames = list(frames.values())
        self.names = [path.name for path in frames]

    def values(self, keyword: str) -> list[Value | None]:
        """Value of a keyword in every frame; None where it is absent or cannot be read."""
        return [_readable(keyword, headers) for headers in self.frames]

    def present(self, keywords: Iterable[str]) -> list[str]:
        """Those of the keywords that at least one frame has."""
        return [keyword for keyword in keywords if any(value is not None for value in self.values(keyword))]

    def everywhere(self, keywords: Iterable[str], fit: Callable[[Value], bool] = lambda _: True) -> str:
        """First keyword that every frame has with a fitting value; empty if there is none."""
        for keyword in keywords:
            if all(value is not None and fit(value) for value in self.values(keyword)):
                return keyword
        return ""

    def keywords(self) -> list[str]:
        """All keywords of the first frame."""
        return list(dict.fromkeys(str(keyword) for header in self.frames[0] for keyword in header.cards))


def _readable(keyword: str, headers: Sequence[HduHeader]) -> Value | None:
    try:
        return look_up(keyword, headers)
    except RawFileError:
        return None  # a damaged card is no use for a proposal
