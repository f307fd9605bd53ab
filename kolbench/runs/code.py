"""What code does, apart from what it says: the modules that others import, and what of their sources counts.

Of a module, the syntax tree counts, less what only people read: comments and layout, docstrings, what is
printed, warned or logged, the arguments of what is raised, the message of an assertion, imports for type
checkers, and texts of three words or more (definitions of scores, messages that a function puts together).
Identifiers, keys, paths, short texts and formats count. So do longer texts that the code itself looks at:
compared, looked up, or with a method called on them.
"""

import ast
import hashlib
import pkgutil
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).resolve().parents[1]

_PROSE_WORDS = 3
_WORD = re.compile(r"[A-Za-z][A-Za-z'-]+[.,:;!?)\"]*")
_LOGGED = {"debug", "info", "warning", "warn"}
_STANDARD = Path(sysconfig.get_path("stdlib")).resolve()
_INSTALLED = {"site-packages", "dist-packages"}


def closure(modules: Iterable[str], left_out: Iterable[str] = ()) -> dict[str, Path]:
    """The modules of kolbench and of users that the named ones import, themselves included, at any depth.

    A module is a user's where its file lies outside the standard library and the installed packages. Modules
    are found without running any of them, so imports that a program makes up while it runs are not seen.

    Args:
        modules: dotted names; names inside of modules are taken for their modules.
        left_out: modules that are not followed, with all below them.

    Returns:
        Dotted name -> file.
    """
    _spec_of.cache_clear()  # files come and go
    cut = tuple(left_out)
    pending = [name for target in modules if (name := _module_of(target))]
    found: dict[str, Path] = {}
    while pending:
        name = pending.pop()
        if name in found or any(name == one or name.startswith(f"{one}.") for one in cut):
            continue
        path = _file_of(name)
        if path is None:
            continue
        found[name] = path
        pending += _packages_of(name)
        pending += _read(path, path.stat().st_mtime_ns).imports_of(name, path)
    return found


def content(path: Path) -> str:
    """SHA-256 of what counts of a source file; of all bytes where the file is no Python source.

    Raises:
        SyntaxError: it cannot be parsed.
    """
    return _read(path, path.stat().st_mtime_ns).sha256


class _Source(NamedTuple):
    """sha256: of what counts. imported: (level, module, name) as `from module import name` has them."""

    sha256: str
    imported: tuple[tuple[int, str, str], ...]

    def imports_of(self, name: str, path: Path) -> Iterator[str]:
        """The absolute names of what may be modules, for the module of the given name and file."""
        package = name.split(".")[: None if path.name == "__init__.py" else -1]
        for level, module, imported in self.imported:
            base = package[: len(package) - level + 1] if level else []
            full = ".".join([*base, *filter(None, (module, imported))])
            if _module_of(full):
                yield _module_of(full)


@cache
def _read(path: Path, changed: int) -> _Source:
    """A source file as it is; `changed`, its time, only makes the cache forget an older one."""
    if path.suffix != ".py":
        return _Source(hashlib.sha256(path.read_bytes()).hexdigest(), ())
    tree = _Doing().visit(ast.parse(path.read_bytes(), str(path)))
    return _Source(hashlib.sha256(ast.dump(tree).encode()).hexdigest(), tuple(_imported(tree)))


def _imported(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.level, node.module or "", alias.name) for alias in node.names)


class _Doing(ast.NodeTransformer):
    """A syntax tree without what only people read."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Statements that only say something: docstrings, prints, warnings."""
        if isinstance(node.value, ast.Constant) or _only_says(node.value):
            return None
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """What is raised counts, its arguments do not."""
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        """The test without its message."""
        node.msg = None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        """Imports for type checkers never run."""
        if _dotted(node.test).rpartition(".")[2] == "TYPE_CHECKING":
            return [kept for stmt in node.orelse if (kept := self.visit(stmt)) is not None]
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        """Prose counts as nothing."""
        return ast.Constant("") if isinstance(node.value, str) and _is_prose(node.value) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Prose around values, with the values."""
        texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
        return ast.Constant("") if _is_prose(" ".join(map(str, texts))) else self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Compared texts decide something, however long."""
        sides = [node.left, *node.comparators]
        node.left, *node.comparators = (self._unless_text(side) for side in sides)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """So does a text whose method is called."""
        node.value = self._unless_text(node.value)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        """So does a key."""
        node.value, node.slice = self.visit(node.value), self._unless_text(node.slice)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        """So do the keys of a dictionary."""
        node.keys = [key and self._unless_text(key) for key in node.keys]
        node.values = [self.visit(value) for value in node.values]
        return node

    def visit_MatchValue(self, node: ast.MatchValue) -> ast.AST:
        """So does a case."""
        return node

    def _unless_text(self, node: ast.expr) -> ast.expr:
        kept: ast.expr = node if isinstance(node, ast.Constant | ast.JoinedStr) else self.visit(node)
        return kept


def _only_says(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = _dotted(node.func)
    return name == "print" or ("." in name and name.rpartition(".")[2] in _LOGGED)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return f"{_dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def _is_prose(text: str) -> bool:
    return sum(_WORD.fullmatch(word) is not None for word in text.split()) >= _PROSE_WORDS


def _module_of(target: str) -> str:
    """The longest beginning of a dotted name that is a module; empty where it is none that counts."""
    while target and _file_of(target) is None:
        target = target.rpartition(".")[0]
    return target


def _packages_of(name: str) -> list[str]:
    """The packages around a user's module, whose files run before it; kolbench's own decide nothing."""
    parts = name.split(".")
    return [] if parts[0] == PACKAGE.name else [".".join(parts[:end]) for end in range(1, len(parts))]


def _file_of(name: str) -> Path | None:
    """The file of a module that counts; None for what is installed, standard, or no module."""
    top, _, inner = name.partition(".")
    if top == PACKAGE.name:
        # the package itself only hands out `load`, which imports everything
        base = PACKAGE.joinpath(*inner.split("."))
        files = (base / "__init__.py", base.with_suffix(".py")) if inner else ()
        return next((file for file in files if file.is_file()), None)
    spec = _spec_of(name)
    if spec is None or spec.origin is None or not spec.has_location:
        return None
    path = Path(spec.origin).resolve()
    return None if _INSTALLED & set(path.parts) or path.is_relative_to(_STANDARD) else path


@cache
def _spec_of(name: str) -> ModuleSpec | None:
    """Where a module would be imported from; the packages around it are looked at and not run."""
    package, _, last = name.rpartition(".")
    if name.partition(".")[0] in sys.stdlib_module_names or not last.isidentifier():
        return None
    if not package:
        return next(filter(None, (finder.find_spec(name, None) for finder in sys.meta_path)), None)
    around = _spec_of(package)
    places = around.submodule_search_locations if around else None
    finders = filter(None, map(pkgutil.get_importer, places or ()))
    return next(filter(None, (finder.find_spec(name, None) for finder in finders)), None)
