"""A calibrated image in memory, with the methods of ``lsst.afw.image.ExposureF`` that users of products call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cpp_butler import exposure_file
from cpp_framework.errors import NotFoundError
from cpp_framework.model.geometry import Box


class BoundingBox(Box):
    """Box of an image, written as Rubin writes it: with its last pixel inside."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"(minimum=({self.x0}, {self.y0}), maximum=({self.x1 - 1}, {self.y1 - 1}))"


@dataclass(frozen=True, eq=False)
class Plane:
    """One plane of an exposure: ``array`` is ``[y, x]``."""

    array: NDArray[Any]

    def getBBox(self) -> BoundingBox:  # noqa: N802  afw's name
        """Box of the plane's pixels."""
        height, width = self.array.shape
        return BoundingBox(0, 0, width, height)


@dataclass(frozen=True, eq=False)
class MaskPlane(Plane):
    """The mask, int32, with the number of each of its planes."""

    planes: dict[str, int] = field(default_factory=dict)

    def getMaskPlaneDict(self) -> dict[str, int]:  # noqa: N802  afw's name
        """Number of each plane, by name."""
        return dict(self.planes)

    def getPlaneBitMask(self, name: str) -> int:  # noqa: N802  afw's name
        """Bit of one plane, or raise `NotFoundError` naming those there are."""
        if name not in self.planes:
            raise NotFoundError(f"no mask plane {name!r}; the mask has {', '.join(self.planes)}")
        return 1 << self.planes[name]


@dataclass(frozen=True, eq=False)
class Exposure:
    """Image (float32), mask (int32), variance (float32, square of the image's unit), and the primary header."""

    image: Plane
    mask: MaskPlane
    variance: Plane
    metadata: dict[str, Any] = field(default_factory=dict)

    def getBBox(self) -> BoundingBox:  # noqa: N802  afw's name
        """Box of the pixels."""
        return self.image.getBBox()

    def getImage(self) -> Plane:  # noqa: N802  afw's name
        """The image."""
        return self.image

    def getMask(self) -> MaskPlane:  # noqa: N802  afw's name
        """The mask."""
        return self.mask

    def getVariance(self) -> Plane:  # noqa: N802  afw's name
        """The variance."""
        return self.variance

    def getMetadata(self) -> dict[str, Any]:  # noqa: N802  afw's name
        """The primary header; what is changed here is written by `writeFits`."""
        return self.metadata

    @classmethod
    def readFits(cls, path: str) -> Self:  # noqa: N802  afw's name
        """Read a file in the layout of `cpp_butler.exposure_file`."""
        read = exposure_file.read(path)
        return cls(
            Plane(read.image.astype(np.float32, copy=False)),
            MaskPlane(read.mask.astype(np.int32, copy=False), read.planes),
            Plane(read.variance.astype(np.float32, copy=False)),
            read.metadata,
        )

    def writeFits(self, path: str) -> None:  # noqa: N802  afw's name
        """Write a file in the layout of `cpp_butler.exposure_file`; one that is there is replaced."""
        hdus = exposure_file.hdus(
            exposure_file.cards(self.metadata),
            self.image.array,
            self.mask.array,
            self.variance.array,
            self.mask.planes,
        )
        hdus.writeto(path, overwrite=True, checksum=True)
