"""Waivers: what is weaker than the default stands in the configuration by its name, and nothing else does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def check_waivers(waivers: Sequence[str], needed: Mapping[str, tuple[bool, str]]) -> None:
    """Whether the waivers named are those that the settings need.

    Args:
        waivers: As configured.
        needed: For each waiver that belongs to a setting: whether that setting is used, and the setting in words.

    Raises:
        ValueError: One is missing, not used, or named twice.
    """
    for waiver, (used, setting) in needed.items():
        if used and waiver not in waivers:
            raise ValueError(f'{setting} is weaker than the default and needs "{waiver}" in `waivers`')
        if not used and waiver in waivers:
            raise ValueError(f'the waiver "{waiver}" is not used: it is only allowed together with {setting}')
    if len(set(waivers)) != len(waivers):
        raise ValueError("each waiver may be named once")
