"""What a mutant is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to be broken.

    Attributes:
        id: Stable name, `device.model.removed.Identification-Manufacturer`; its first part is the kind of target.
        title: What is wrong, in a few words.
        breaks: What it does, and what a correct implementation does instead; for a learner.
        source: Document and clause that it breaks.
    """

    id: str
    title: str
    breaks: str
    source: str
