"""Put into words, once for a run: what was asked for, and how a training ended."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Settings:
    """Holds what a callback was asked for.

    Attributes:
        tag: The callback's.
        values: Settings by name.
    """

    tag: str
    values: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Returns the name that they are logged under."""
        return f"{self.tag}/settings"

    @property
    def group(self) -> str:
        """Returns their name among all that a run was asked for."""
        return self.tag

    @property
    def plain(self) -> dict[str, Any]:
        """Returns the values as JSON has them; what it has no form for is put into words."""
        return json.loads(json.dumps(dict(self.values), default=str))

    @property
    def table(self) -> str:
        """Returns a markdown table."""
        rows = [f"| {name} | {value} |" for name, value in self.values.items()]
        return "\n".join(["| setting | value |", "| --- | --- |", *rows])


@dataclass(frozen=True)
class Ending:
    """Holds how a training ended in words, which are logged as settings are.

    Attributes:
        tag: The callback's.
        markdown: The words.
        plain: As JSON has it.
        name: Of the words, under the tag.
    """

    tag: str
    markdown: str
    plain: Mapping[str, Any]
    name: str = "summary"

    @property
    def key(self) -> str:
        """Returns the name that it is logged under."""
        return f"{self.tag}/{self.name}"

    @property
    def group(self) -> str:
        """Returns its name among all that is known of a run."""
        return f"{self.tag}_{self.name}"

    @property
    def table(self) -> str:
        """Returns the words."""
        return self.markdown


Text = Settings | Ending
