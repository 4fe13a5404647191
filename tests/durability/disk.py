"""A model of a disk: what a crash may leave of a sequence of file operations.

A file's data is safe once the file is fsynced, a name once its folder is. Whatever is not safe a
crash may keep, lose, or keep in part; of names, in any order. That is harsher than any journalling
file system, whose names come back in the order in which they were made.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from tests.durability.recording import Operation

__all__ = ["VARIANTS", "Disk", "Tree"]

Tree = dict[str, Any]
"""Content of a folder: bytes for a file, another such dict for a folder."""

VARIANTS = ("applied", "torn", "zeroed", "data lost", "names lost", "all lost", "shuffled")


@dataclass
class _File:
    data: bytes = b""
    safe: bytes = b""
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)

    def sync(self) -> None:
        self.safe, self.pending = self.data, []

    def write(self, offset: int | None, data: bytes) -> None:
        start = len(self.data) if offset is None else offset
        self.pending.append((start, data))
        self.data = _patched(self.data, start, data)

    def truncate(self, size: int) -> None:
        if size != len(self.data):
            self.pending.append(size)
            self.data = _resized(self.data, size)

    def after_crash(self, variant: str, chance: random.Random) -> bytes:
        if variant in ("applied", "names lost") or not self.pending:
            return self.data
        if variant in ("data lost", "all lost"):
            return self.safe
        if variant == "zeroed":
            # The length has reached the disk, the data has not.
            return _resized(self.safe, len(self.data))
        kept = self.pending
        if variant == "shuffled":
            kept = [change for change in kept if chance.random() < 0.5]
        return self._replayed(kept, chance)

    def _replayed(self, changes: list[tuple[int, bytes] | int], chance: random.Random) -> bytes:
        data = self.safe
        for number, change in enumerate(changes):
            if isinstance(change, int):
                data = _resized(data, change)
                continue
            start, piece = change
            if number == len(changes) - 1:
                piece = piece[: chance.randint(0, len(piece))]
            data = _patched(data, start, piece)
        return data


def _patched(data: bytes, start: int, piece: bytes) -> bytes:
    return _resized(data, max(len(data), start))[:start] + piece + data[start + len(piece) :]


def _resized(data: bytes, size: int) -> bytes:
    return data[:size].ljust(size, b"\0")


@dataclass
class _Folder:
    entries: dict[str, _Node] = field(default_factory=dict)
    safe: dict[str, _Node] = field(default_factory=dict)
    pending: list[tuple[object, dict[str, _Node | None]]] = field(default_factory=list)

    def sync(self) -> None:
        self.safe, self.pending = dict(self.entries), []

    def change(self, names: dict[str, _Node | None], step: object = None) -> None:
        """Give and take names, as one step; `step` is that of a change of two folders."""
        self.pending.append((step or object(), names))
        _apply(self.entries, names)

    def after_crash(
        self, variant: str, chance: random.Random, done: dict[int, bool]
    ) -> dict[str, _Node]:
        if variant in ("names lost", "all lost"):
            return self.safe
        if variant != "shuffled":
            return self.entries
        entries = dict(self.safe)
        for step, names in self.pending:
            # File systems do a rename whole or not at all, also from one folder to another.
            if done.setdefault(id(step), chance.random() < 0.5):
                _apply(entries, names)
        return entries


_Node = _File | _Folder


def _apply(entries: dict[str, _Node], names: dict[str, _Node | None]) -> None:
    for name, node in names.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


class Disk:
    """The folder `root`, as operation after operation is done to it.

    Parameters
    ----------
    root : Path
        What is in it now is safe.
    parts : tuple of str
        The entries of `root` that are looked after; all others are left alone.
    """

    def __init__(self, root: Path, parts: tuple[str, ...]) -> None:
        self._root = root
        self._parts = parts
        self._times: dict[bytes, int] = {}
        present = [root / part for part in parts if (root / part).exists()]
        entries = {path.name: self._read(path) for path in present}
        self._folder = _Folder(entries, dict(entries))

    def _read(self, path: Path) -> _Node:
        if path.is_dir():
            entries = {child.name: self._read(child) for child in path.iterdir()}
            return _Folder(entries, dict(entries))
        data = path.read_bytes()
        return _File(data, data)

    def learn_times(self) -> None:
        """Note when the files that are there now were changed; rebuilt ones get the same times.

        A file's time belongs to its content, and an fsync makes both safe.
        """
        for part in self._parts:
            for path in (self._root / part).rglob("*"):
                if path.is_file():
                    digest = hashlib.sha256(path.read_bytes()).digest()
                    self._times[digest] = path.stat().st_mtime_ns

    # -- going on ---------------------------------------------------------------------------------

    def do(self, operation: Operation) -> None:
        """Do the next operation, if it is in a part that is looked after."""
        path = operation.path
        parts = PurePosixPath(path).relative_to(self._root).parts
        if parts and parts[0] not in self._parts:
            return
        match operation.kind:
            case "create":
                self._create(path)
            case "mkdir":
                self._make_folder(path)
            case "truncate":
                self.file(path).truncate(operation.size)
            case "write":
                self.file(path).write(operation.offset, operation.data)
            case "fsync":
                self._node(path).sync()
            case "link":
                self._give(operation.other, self._node(path))
            case "rename":
                self._rename(path, operation.other)
            case "unlink" | "rmdir":
                self._take(path)
            case kind:
                raise AssertionError(kind)

    def file(self, path: str) -> _File:
        """Return the file at `path`."""
        node = self._node(path)
        assert isinstance(node, _File), path
        return node

    def _rename(self, source: str, target: str) -> None:
        node = self._node(source)
        old, old_name = self._place(source)
        new, new_name = self._place(target)
        if old is new:
            old.change({old_name: None, new_name: node})
        else:
            step = object()
            new.change({new_name: node}, step)
            old.change({old_name: None}, step)

    def _create(self, path: str) -> None:
        self._make_folder(str(PurePosixPath(path).parent))
        folder, name = self._place(path)
        if name not in folder.entries:
            folder.change({name: _File()})

    def _make_folder(self, path: str) -> None:
        # Recorded when the call returned: others may have seen and used the folder before that.
        parent = str(PurePosixPath(path).parent)
        if parent != str(self._root):
            self._make_folder(parent)
        folder, name = self._place(path)
        if name not in folder.entries:
            folder.change({name: _Folder()})

    def _give(self, path: str, node: _Node) -> None:
        folder, name = self._place(path)
        folder.change({name: node})

    def _take(self, path: str) -> None:
        folder, name = self._place(path)
        folder.change({name: None})

    def _place(self, path: str) -> tuple[_Folder, str]:
        folder = self._node(str(PurePosixPath(path).parent))
        assert isinstance(folder, _Folder), path
        return folder, PurePosixPath(path).name

    def _node(self, path: str) -> _Node:
        node: _Node = self._folder
        for name in PurePosixPath(path).relative_to(self._root).parts:
            assert isinstance(node, _Folder), path
            node = node.entries[name]
        return node

    # -- crashing ---------------------------------------------------------------------------------

    def after_crash(self, variant: str, chance: random.Random) -> Tree:
        """Return what a crash now may leave."""
        done: dict[int, bool] = {}

        def left(node: _Node) -> Any:
            if isinstance(node, _File):
                return node.after_crash(variant, chance)
            entries = node.after_crash(variant, chance, done)
            return {name: left(child) for name, child in entries.items()}

        tree: Tree = left(self._folder)
        return tree

    def rebuild(self, tree: Tree, present: Tree | None = None) -> None:
        """Make the folder on this machine hold exactly `tree`.

        Parameters
        ----------
        tree : Tree
        present : Tree, optional
            What it holds, if that is known: only differences are written then.
        """
        if present is None:
            for part in self._parts:
                shutil.rmtree(self._root / part, ignore_errors=True)
        self._build(tree, present or {}, self._root)

    def _build(self, tree: Tree, present: Tree, folder: Path) -> None:
        for name in present.keys() - tree.keys():
            _remove(folder / name, present[name])
        for name, node in tree.items():
            path, there = folder / name, present.get(name)
            if isinstance(node, dict):
                if not isinstance(there, dict):
                    path.mkdir()
                self._build(node, there or {}, path)
            elif node != there:
                self._write(path, node)

    def _write(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        time = self._times.get(hashlib.sha256(data).digest())
        if time is not None:
            os.utime(path, ns=(time, time))


def _remove(path: Path, node: Any) -> None:
    if isinstance(node, dict):
        shutil.rmtree(path)
    else:
        path.unlink()
