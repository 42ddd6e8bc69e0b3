"""What a plugin is made of, as one hash of its code.

What only a reader sees is no part of it: a mended docstring or comment makes no stored model stale, and fails nobody's
results.
"""

import ast
import hashlib
import importlib.util
import io
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from vestige.specs import Spec

LAYOUT = frozenset({tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT})
"""Tokens that no statement is made of."""

READERS = ("__doc__", "getdoc", "get_docstring", "getsource", "getcomments", "use_attribute_docstrings", "json_schema")
"""Names by which code reads docstrings, or itself."""


@cache
def source_digest(spec: Spec) -> str:
    """`read_digest`, read once a process."""
    return read_digest(spec)


def read_digest(spec: Spec) -> str:
    """A digest of the sources that a plugin's factory is made of, as they stand now.

    These are the factory's module (all of its package, where it is one) and whatever it imports of the same top-level
    package, of the plugins that come with Vestige and of `vestige.recommenders`, whose gradients and training loops
    methods are made with, followed through. So an edited method meets no stale result, and its neighbours keep theirs.
    The rest of the core is not followed: its stages carry versions of their own.

    Docstrings, comments and empty lines are left out, see `code`, unless one of these sources reads docstrings or
    source itself: then all are taken as they are.

    Files are read each time; what is made of one is kept by its content, so a process forked from one that has read
    them parses only what was edited since.
    """
    sources = {module: file.read_bytes() for module, file in _sources(spec.factory.partition(":")[0], set())}
    read = any(name.encode() in source for source in sources.values() for name in READERS)
    digest = hashlib.sha256()
    for module, source in sorted(sources.items()):
        digest.update(module.encode() + b"\0" + (source if read else code(source).encode()) + b"\0")
    return digest.hexdigest()


@cache
def code(source: bytes) -> str:
    """A module's source without docstrings, comments, empty lines and the blanks before them.

    Cut from the text rather than written from the syntax tree, which differs from one Python to the next. What is
    continued by a backslash hangs on the line below, whatever that is, so such a source is given as it is; so is one
    that is no Python.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        lines = io.StringIO(source.decode(encoding), newline=None).readlines()
        tokens = list(_outside_formatted(tokenize.generate_tokens(iter(lines).__next__)))
    except (SyntaxError, UnicodeError, LookupError, tokenize.TokenError):
        return source.decode(errors="backslashreplace")  # whoever imports it will say so
    if any(line.endswith("\\\n") for line in lines):
        return "".join(lines)
    loose = {token.start[0] for token in tokens if token.type == tokenize.NL}
    unread = [*(token for token in tokens if token.type == tokenize.COMMENT), *_docstrings(tokens)]
    for token in sorted(unread, key=lambda token: token.start, reverse=True):
        (first, begin), (last, end) = token.start, token.end
        left = lines[first - 1][:begin].rstrip() + lines[last - 1][end:]
        lines[first - 1 : last] = [left, *[""] * (last - first)]
        loose |= set(range(first, last + 1))
    # An empty line inside a string is no token of its own, and stays.
    return "".join(line for row, line in enumerate(lines, start=1) if row not in loose or line.strip())


def _outside_formatted(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[tokenize.TokenInfo]:
    """Tokens without those inside a formatted string, which is one token up to Python 3.11 and many from 3.12 on."""
    depth = 0
    for token in tokens:
        name = tokenize.tok_name[token.type]
        depth -= name in ("FSTRING_END", "TSTRING_END")
        if not depth:
            yield token
        depth += name in ("FSTRING_START", "TSTRING_START")


def _docstrings(tokens: Iterable[tokenize.TokenInfo]) -> Iterator[tokenize.TokenInfo]:
    """Strings that are statements of their own; one that is formatted runs code."""
    statement: list[tokenize.TokenInfo] = []
    for token in tokens:
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            if all(part.type == tokenize.STRING and not _formatted(part.string) for part in statement):
                yield from statement
            statement = []
        elif token.type not in LAYOUT:
            statement.append(token)


def _formatted(literal: str) -> bool:
    return "f" in literal.partition(literal[-1])[0].lower()


def _sources(module: str, seen: set[str]) -> Iterator[tuple[str, Path]]:
    if module in seen:
        return
    seen.add(module)
    file = _file(module)
    if file is None:
        return
    top = module.partition(".")[0]
    is_package = file.name == "__init__.py"
    if is_package and module != top:
        for inner in sorted(file.parent.glob("*.py")):
            if inner != file:
                yield from _sources(f"{module}.{inner.stem}", seen)
    yield module, file
    if top == "vestige" and not module.startswith("vestige.recommenders"):
        return
    for name in _imports(file.read_bytes(), module, is_package):
        if _followed(name, top):
            yield from _sources(name, seen)


def _file(module: str) -> Path | None:
    """Where a module's source lies; no package is imported for it, as T5's alone would load torch and transformers."""
    top, *inner = module.split(".")
    found = importlib.util.find_spec(top)
    if found is None:
        return None
    if not inner:
        return Path(found.origin) if found.origin and found.origin.endswith(".py") else None
    places = [Path(place, *inner) for place in found.submodule_search_locations or ()]
    candidates = [file for place in places for file in (place / "__init__.py", place.with_name(f"{place.name}.py"))]
    return next((file for file in candidates if file.is_file()), None)


BUILT_IN = ("vestige_methods", "vestige_metrics", "vestige_datasets")
"""Packages whose parts other plugins build on."""


def _followed(name: str, top: str) -> bool:
    """Whether what a module of the top-level package `top` imports is part of what it makes."""
    if name.startswith("vestige.recommenders."):
        return True
    return top != "vestige" and name.partition(".")[0] in (top, *BUILT_IN)


@cache
def _imports(source: bytes, module: str, is_package: bool) -> tuple[str, ...]:
    """Modules a source imports, absolute; `from package import name` may mean `package.name`, so both are given."""
    parts = module.split(".")
    out: list[str] = []
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return ()  # whoever imports it will say so
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            out += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = parts if is_package else parts[:-1]
                parents = parents[: len(parents) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            out.append(base)
            out += [f"{base}.{alias.name}" for alias in node.names]
    return tuple(out)
