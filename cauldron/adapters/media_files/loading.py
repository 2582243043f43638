"""Loads the files a collection document names into the blob store, checked and hashed once each.

A document comes from strangers: a path may lie only in the document's own folder,
and an image is looked at before anything of it is stored or decoded.
"""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cauldron.adapters.media_files.headers import Facts, MediaProblem, inspect_file, inspect_image
from cauldron.adapters.media_files.paths import natural, safe_path
from cauldron.domain.errors import InvalidMany, Problem
from cauldron.domain.media import MediaRef, is_media
from cauldron.ports.blobs import BlobStore

MEDIA_KEYS = ("image", "file")
MAX_DEPTH = 60
AT_ONCE = 4  # files being checked and stored
IGNORED = frozenset({"thumbs.db", "desktop.ini"})
_WEIGHT = re.compile(r"(?P<name>.+?)\s*#(?P<weight>\d{1,9}(?:\.\d{1,9})?)")

Progress = Callable[[int, int], None]  # (files done, files in all)


@dataclass(slots=True, kw_only=True)
class _Wanted:
    """One file the document names, and every place that names it."""

    path: Path
    as_image: bool
    places: list[str] = field(default_factory=list)
    facts: Facts | None = None
    ref: MediaRef | None = None


async def load(
    document: Mapping[str, Any], *, base: Path, blobs: BlobStore, progress: Progress | None = None
) -> dict[str, Any]:
    """``document`` with every file it names stored and replaced by its media reference.

    ``{image: path}`` and ``{file: path}`` in inputs, values and binds become the
    reference itself when that is their only key, else the key holds it. A folder
    of images becomes ``items: [{name, weight?, value}]`` in natural order.
    Templates (``[[Hat]]``) and references that are there already stay.

    Args:
        document: as read from the file; it is not changed.
        base: the folder of the document; every path is relative to it.
        blobs: where the contents go.
        progress: called with (files done, files in all) after each file.

    Raises:
        InvalidMany: every path that leaves ``base``, is missing or no regular
            file, and every image that is damaged, over 64 megapixels, of another
            type than its ending says or not PNG, JPEG, WebP or GIF.

    Cost: each file is read twice (looked at, stored), however often it is named.
    """
    finder = _Finder(base=base.resolve())
    finder.collection(document)
    wanted = list(finder.files.values())
    finder.problems += await _check(wanted)
    if finder.problems:
        raise InvalidMany(sorted(finder.problems, key=lambda p: natural(p.path)))
    await _store(wanted, blobs=blobs, progress=progress or (lambda done, total: None))
    return _Filler(finder).collection(document)


async def _check(wanted: list[_Wanted]) -> list[Problem]:
    """Look at every file; what is wrong with them, at every place that names them."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def check(entry: _Wanted) -> list[Problem]:
        async with slots:
            look = inspect_image if entry.as_image else inspect_file
            try:
                entry.facts = await asyncio.to_thread(look, entry.path)
            except MediaProblem as problem:
                said = f"{entry.path.name} {problem}"
                return [Problem(path=p, code=problem.code, message=said) for p in entry.places]
        return []

    return [problem for found in await asyncio.gather(*map(check, wanted)) for problem in found]


async def _store(wanted: list[_Wanted], *, blobs: BlobStore, progress: Progress) -> None:
    """Store every file and note its reference; files that lead to one another count once."""
    slots = asyncio.Semaphore(AT_ONCE)
    done = 0

    async def store(entry: _Wanted) -> None:
        nonlocal done
        async with slots:
            digest = await blobs.put_file(entry.path)
        if entry.facts is not None:
            entry.ref = entry.facts.reference(digest, name=entry.path.name)
        done += 1
        progress(done, len(wanted))

    await asyncio.gather(*map(store, wanted))


class _Walk(ABC):
    """Goes over every place of a collection document that may name media."""

    def collection(self, document: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(document)
        if isinstance(found.get("generator"), Mapping):
            found["generator"] = self._with_inputs(found["generator"], "inputs", "generator")
        if isinstance(found.get("categories"), list):
            found["categories"] = self._categories(found["categories"], "categories")
        if isinstance(found.get("oneOfOnes"), list):
            ones = enumerate(found["oneOfOnes"])
            found["oneOfOnes"] = [self._with_inputs(one, "inputs", f"oneOfOnes[{i}]") for i, one in ones]
        return found

    def _categories(self, categories: Any, path: str) -> Any:
        if not isinstance(categories, list) or path.count("categories") > MAX_DEPTH:
            return categories
        return [self._category(category, f"{path}[{i}]") for i, category in enumerate(categories)]

    def _category(self, category: Any, path: str) -> Any:
        if not isinstance(category, Mapping):
            return category
        found = dict(category)
        if isinstance(found.get("images"), Mapping):
            found["images"] = self._images(found["images"], f"{path}.images")
        if isinstance(found.get("options"), list):
            options = enumerate(found["options"])
            found["options"] = [self._option(option, f"{path}.options[{i}]") for i, option in options]
        return found

    def _option(self, option: Any, path: str) -> Any:
        if not isinstance(option, Mapping):
            return option
        found = self._with_inputs(option, "bind", path)
        if "value" in found:
            found["value"] = self._value(found["value"], f"{path}.value", 0)
        if "categories" in found:
            found["categories"] = self._categories(found["categories"], f"{path}.categories")
        return found

    def _with_inputs(self, holder: Any, key: str, path: str) -> Any:
        """``holder`` with its inputs done; their names are no keys of a value."""
        if not isinstance(holder, Mapping) or not isinstance(holder.get(key), Mapping):
            return dict(holder) if isinstance(holder, Mapping) else holder
        inputs = {name: self._value(value, f"{path}.{key}.{name}", 0) for name, value in holder[key].items()}
        return {**holder, key: inputs}

    def _value(self, value: Any, path: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            return value
        if isinstance(value, list):
            return [self._value(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
        if not isinstance(value, Mapping) or is_media(value):
            return value
        found = {
            key: self._media(item, f"{path}.{key}", as_image=key == "image")
            if key in MEDIA_KEYS and isinstance(item, str) and "[[" not in item
            else self._value(item, f"{path}.{key}", depth + 1)
            for key, item in value.items()
        }
        only = next(iter(found.items())) if len(found) == 1 else ("", None)
        return only[1] if only[0] in MEDIA_KEYS and is_media(only[1]) else found

    @abstractmethod
    def _media(self, text: str, path: str, *, as_image: bool) -> Any:
        """What stands in place of a file that is named."""

    @abstractmethod
    def _images(self, images: Mapping[str, Any], path: str) -> Any:
        """What stands in place of a set of images."""


class _Finder(_Walk):
    """Collects the files a document names, and what is wrong with their paths."""

    def __init__(self, *, base: Path) -> None:
        self.base = base
        self.files: dict[tuple[Path, bool], _Wanted] = {}
        self.by_place: dict[str, _Wanted] = {}
        self.folders: dict[str, list[Path]] = {}
        self.problems: list[Problem] = []

    def _media(self, text: str, path: str, *, as_image: bool) -> Any:
        try:
            self._want(safe_path(self.base, text), path, as_image=as_image)
        except MediaProblem as problem:
            self.problems.append(Problem(path=path, code=problem.code, message=str(problem)))
        return text

    def _images(self, images: Mapping[str, Any], path: str) -> Any:
        if not isinstance(images.get("folder"), str):
            items = images.get("items")
            for index, item in enumerate(items if isinstance(items, list) else ()):
                self._option(item, f"{path}.items[{index}]")
            return images
        try:
            folder = safe_path(self.base, images["folder"], folder=True)
            files = [
                entry
                for entry in sorted(folder.iterdir(), key=lambda entry: natural(entry.name))
                if not _is_hidden(entry)
            ]
            if not files:
                raise MediaProblem("empty_folder", f"the folder {images['folder']!r:.80} has no images")
        except (MediaProblem, OSError) as problem:
            code = problem.code if isinstance(problem, MediaProblem) else "unreadable"
            self.problems.append(Problem(path=f"{path}.folder", code=code, message=str(problem)))
            return images
        self.folders[path] = files
        for entry in files:
            relative = entry.relative_to(self.base).as_posix()
            self._media(relative, f"{path}.folder/{entry.name}", as_image=True)
        return images

    def _want(self, file: Path, place: str, *, as_image: bool) -> None:
        wanted = self.files.setdefault((file, as_image), _Wanted(path=file, as_image=as_image))
        wanted.places.append(place)
        self.by_place[place] = wanted


class _Filler(_Walk):
    """Puts the references of stored files where the document named them."""

    def __init__(self, finder: _Finder) -> None:
        self._finder = finder

    def _media(self, text: str, path: str, *, as_image: bool) -> Any:
        ref = self._finder.by_place[path].ref
        return text if ref is None else dict(ref)

    def _images(self, images: Mapping[str, Any], path: str) -> Any:
        rest = {key: value for key, value in images.items() if key not in ("folder", "items")}
        files = self._finder.folders.get(path)
        if files is None:
            items = images.get("items")
            done = [self._option(item, f"{path}.items[{i}]") for i, item in enumerate(items or ())]
            return {"items": done, **rest} if isinstance(items, list) else dict(images)
        named = _item_names(files, weighted=images.get("draw", "weight") == "weight")
        return {
            "items": [
                {**item, "value": self._media("", f"{path}.folder/{file.name}", as_image=True)}
                for item, file in zip(named, files, strict=True)
            ],
            **rest,
        }


def _item_names(files: list[Path], *, weighted: bool) -> Iterator[dict[str, Any]]:
    """``{name, weight?}`` per file: its name without the ending, told apart from the others."""
    taken: set[str] = set()
    for file in files:
        found = _WEIGHT.fullmatch(file.stem) if weighted else None
        stem = (found["name"] if found else file.stem).strip() or file.name
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem} {number}"
        taken.add(name)
        yield {"name": name, "weight": float(found["weight"])} if found else {"name": name}


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in IGNORED
