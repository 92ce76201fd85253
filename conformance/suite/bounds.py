"""What a target may put into a report: a hostile one must not fill memory, disk or a reader's browser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from conformance.suite.outcome import Evidence, Outcome
from conformance.suite.report import TreeNode

SENTENCE = 1_000
"""Characters of a sentence or a name."""

CONTENT = 4_000
"""Characters of a piece of evidence."""

PIECES = 20
"""Pieces of evidence of a check."""

NODES = 200
"""Nodes that a check may point at."""

TREE_NODES = 20_000
"""Nodes of the tree; a shop floor's largest server has a few thousand of interest."""

TREE_DEPTH = 24
"""Levels of the tree; a loop of references ends here."""


def cut(text: str, limit: int = SENTENCE) -> str:
    """`text`, or its beginning and how long it was; lone surrogates, which no encoding can write, are replaced."""
    if len(text) > limit:
        text = f"{text[:limit]} ... ({len(text)} characters)"
    return text.encode("utf-8", "replace").decode("utf-8")


def bounded(outcome: Outcome) -> Outcome:
    """An outcome that fits into a report."""
    pieces = [
        Evidence(what=cut(one.what, 60), where=cut(one.where), content=cut(one.content, CONTENT))
        for one in outcome.evidence[:PIECES]
    ]
    if len(outcome.evidence) > PIECES:
        pieces.append(Evidence(what="more", content=f"{len(outcome.evidence) - PIECES} further pieces are not shown"))
    return Outcome(
        verdict=outcome.verdict,
        seen=cut(outcome.seen),
        evidence=tuple(pieces),
        nodes=tuple(cut(node) for node in outcome.nodes[:NODES]),
        option=outcome.option,
    )


def bounded_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """Names and values that fit into a report."""
    return {cut(name, 100): cut(value) for name, value in list(facts.items())[:100]}


def bounded_tree(roots: Iterable[TreeNode]) -> tuple[TreeNode, ...]:
    """A tree that fits into a report; what is left out is said where it is left out."""
    left = TREE_NODES

    def walk(node: TreeNode, depth: int) -> TreeNode:
        nonlocal left
        left -= 1
        children: list[TreeNode] = []
        for number, child in enumerate(node.children):
            if left <= 0 or depth >= TREE_DEPTH:
                children.append(TreeNode(path=f"{len(node.children) - number} nodes are not shown"))
                break
            children.append(walk(child, depth + 1))
        return TreeNode(
            path=cut(node.path), kind=cut(node.kind, 200), value=cut(node.value, 200), children=tuple(children)
        )

    return tuple(walk(root, 1) for root in roots)
