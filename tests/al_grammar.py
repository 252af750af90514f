"""AL as the grammar reads it that tree-sitter-al took from Microsoft's own sources."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

if find_spec("tree_sitter_al") is None and sys.platform == "linux" and platform.machine() != "x86_64":
    pytest.skip("there is no grammar of AL for this machine", allow_module_level=True)

import tree_sitter
import tree_sitter_al

_PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_al.language()))


def mistakes(text: str) -> list[str]:
    """What the grammar cannot read, with its line."""
    return [f"{node.start_point.row + 1}: {node.text!r}" for node in _wrong(parsed(text))]


def parsed(text: str) -> tree_sitter.Node:
    """The tree of a file."""
    return _PARSER.parse(text.encode()).root_node


def nodes(tree: tree_sitter.Node, *kinds: str) -> Iterator[tree_sitter.Node]:
    """All nodes of these kinds."""
    if tree.type in kinds:
        yield tree
    for child in tree.children:
        yield from nodes(child, *kinds)


def _wrong(node: tree_sitter.Node) -> Iterator[tree_sitter.Node]:
    if node.is_error or node.is_missing:
        yield node
    for child in node.children:
        yield from _wrong(child)
