"""What a descent needs of a tree of regions, whatever they are made of."""

from typing import Protocol, TypeVar

Region = TypeVar("Region")


class RegionTree(Protocol[Region]):
    """A binary tree whose root is the whole image and whose every node is a region of it."""

    @property
    def root(self) -> Region:
        """The whole image."""

    def halves(self, region: Region) -> tuple[Region, Region] | None:
        """The two regions that make up one; None if it cannot be cut."""

    def size(self, region: Region) -> int:
        """The parts that a region's worth is spread over: pixels, or pixels times channels."""
