"""Targets that are broken in exactly one way: the proof that the conformance suite bites, and teaching material."""
