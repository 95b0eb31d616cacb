"""Every object is given what it needs by its constructor, and is complete when ``__init__`` returns.

Four rules, read from the source of ``hubq.node``, ``hubq.client`` and ``hubq.jobs``:

1. An attribute is assigned (or deleted, or set with ``setattr``) by its own object alone: ``self.x = ...``, ``cls.x = ...``.
   A function may also finish what it has made itself: a name that the same function has bound to ``Class(...)``,
   ``Class.method(...)``, ``cls(...)`` or ``copy(...)``. All else is from outside: attributes of parameters, of attributes
   (``self.a.b = ...``), of names of an enclosing function, and of what some other function has answered.
2. A ``lambda`` or an inner function uses no local name, and in ``__init__`` no attribute of ``self``, that is assigned only
   below it: it would close over what does not exist yet.
3. ``getattr`` has no default. What a strategy may leave out is declared, with its default, by the traits of its family.
4. No parameter is an ``Any``. (``*args`` and ``**kwargs`` are: they pass arguments of users on.)

What is allowed all the same is listed below, each with its reason; an entry that is needed no more fails, too.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

PACKAGES = ("hubq/client", "hubq/jobs", "hubq/node")

Function = ast.FunctionDef | ast.AsyncFunctionDef
INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)

#: Rule 1: file and target -> why.
ASSIGNED = {
    "hubq/client/faces/jobs.py it.hubq_job_options": "a decorator: @hub.job gives a function of the app its methods, as RQ's",
    "hubq/client/faces/jobs.py it.delay": "the same",
    "hubq/client/faces/jobs.py it.enqueue": "the same",
    "hubq/client/faces/jobs.py it.enqueue_at": "the same",
    "hubq/client/faces/jobs.py it.enqueue_in": "the same",
    "hubq/node/held/holding.py instance._host": "the child's own door to its node: its class is the user's, whose __init__ runs after",
    "hubq/jobs/resumable.py function.hubq_child_class": "the same, for @hub.job(resumable=True)",
    "hubq/jobs/clock.py self._scheduler._connection": "RQ's scheduler takes a connection, and makes another one of it",
    "hubq/jobs/clock.py job.latest_enqueue_time": "RQ's CronJob: only RQ's own start sets when it ran last",
    "hubq/jobs/clock.py job.next_enqueue_time": "the same",
    "hubq/jobs/clock.py job.job_options": "RQ's CronJob: its enqueue() takes no job id",
}

#: Rule 3: file and call -> why.
GETATTR = {
    "hubq/jobs/checks.py getattr(function, '__module__', None)": "not every callable of an app has one",
    "hubq/jobs/checks.py getattr(function, '__qualname__', repr(function))": "the same",
    "hubq/jobs/checks.py getattr(function, '__qualname__', function)": "the same",
    "hubq/jobs/checks.py getattr(function, 'hubq_job_options', {})": "left there by @hub.job, which not every function has",
}

#: Rule 4: parameter -> why, wherever it is.
ANY = {
    "target": "a class or function of an app, of any kind; checked by as_child_class",
    "function": "a function of an app, of any kind, or its dotted path; checked by checked_function",
    "it": "the same, in a decorator",
    "pipeline": "RQ's signature: redis-py's pipeline, which only hubq.store may name",
    "started_job_registry": "RQ's signature",
    "connection": "RQ's signature: redis-py's client, which only hubq.store may name",
    "serializer": "RQ's signature: anything with dumps and loads",
}


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """What a function, class or module does itself, in the order of the text: not what functions inside of it do."""
    for node in ast.iter_child_nodes(function):
        yield node
        if not isinstance(node, INNER):
            yield from own_nodes(node)


def targets_of(node: ast.AST) -> Iterator[ast.expr]:
    """What a statement assigns or deletes, names and attributes alike."""
    match node:
        case ast.Assign(targets=found) | ast.Delete(targets=found):
            open_ = list(found)
        case ast.AugAssign(target=target) | ast.For(target=target) | ast.AsyncFor(target=target):
            open_ = [target]
        case ast.AnnAssign(target=target, value=value) if value is not None:
            open_ = [target]
        case ast.NamedExpr(target=target):
            open_ = [target]
        case ast.withitem(optional_vars=target) if target is not None:
            open_ = [target]
        case ast.Call(func=ast.Name(id="setattr" | "delattr"), args=[of, *_]):
            open_ = [ast.Attribute(value=of, attr="(any)", lineno=node.lineno)]
        case _:
            open_ = []
    while open_:
        target = open_.pop()
        if isinstance(target, ast.Tuple | ast.List):
            open_ += target.elts
        elif isinstance(target, ast.Starred):
            open_.append(target.value)
        else:
            yield target


def makes(value: ast.expr | None) -> bool:
    """Whether an expression makes a new object: rule 1 says which do."""
    if isinstance(value, ast.Await):
        value = value.value
    if not isinstance(value, ast.Call):
        return False
    called = value.func
    names = []
    while isinstance(called, ast.Attribute):
        names.append(called.attr)
        called = called.value
    names += [called.id] if isinstance(called, ast.Name) else []
    return names[-1:] == ["cls"] or names == ["copy"] or any(name.lstrip("_")[:1].isupper() for name in names)


def made_in(function: ast.AST) -> set[str]:
    """The names that a function binds to what it makes, and to nothing else."""
    made: set[str] = set()
    other: set[str] = set()
    for node in own_nodes(function):
        for target in targets_of(node):
            if isinstance(target, ast.Name):
                is_new = isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr) and makes(node.value)
                (made if is_new else other).add(target.id)
    return made - other


def assigned_from_outside(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Rule 1: line and target."""
    for function in ast.walk(tree):
        if isinstance(function, ast.Module | ast.ClassDef | Function):
            made = made_in(function)
            for node in own_nodes(function):
                for target in targets_of(node):
                    if isinstance(target, ast.Attribute):
                        of = target.value
                        if not (isinstance(of, ast.Name) and of.id in {"self", "cls", *made}):
                            yield target.lineno, ast.unparse(target)


def closed_over_too_early(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Rule 2: line and name."""
    for function in ast.walk(tree):
        if not isinstance(function, Function):
            continue
        parameters = {each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)}
        bound: dict[str, int] = {}
        for node in own_nodes(function):
            for target in targets_of(node):
                if isinstance(target, ast.Name) and target.id not in parameters:
                    bound.setdefault(target.id, target.lineno)
                if isinstance(target, ast.Attribute) and function.name == "__init__":
                    bound.setdefault(ast.unparse(target), target.lineno)
        for inner in own_nodes(function):
            if isinstance(inner, INNER):
                own = {each.arg for each in ast.walk(inner) if isinstance(each, ast.arg)}
                own |= {each.id for each in ast.walk(inner) if isinstance(each, ast.Name) and not is_read(each)}
                for node in ast.walk(inner):
                    if isinstance(node, ast.Name | ast.Attribute) and is_read(node):
                        name = ast.unparse(node)
                        if name not in own and bound.get(name, 0) > (inner.end_lineno or 0):
                            yield inner.lineno, name


def is_read(node: ast.Name | ast.Attribute) -> bool:
    """Whether a name is read here, not assigned."""
    return isinstance(node.ctx, ast.Load)


def getattr_with_default(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Rule 3: line and call."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="getattr"), args=[_, _, _]):
                yield node.lineno, ast.unparse(node)


def any_parameters(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Rule 4: line, and ``function(parameter)``."""
    for function in ast.walk(tree):
        if isinstance(function, Function):
            given = function.args
            for each in (*given.posonlyargs, *given.args, *given.kwonlyargs):
                if each.annotation is not None and ast.unparse(each.annotation) in ("Any", "Any | None"):
                    yield each.lineno, f"{function.name}({each.arg})"


Rule = Callable[[ast.AST], Iterator[tuple[int, str]]]


@cache
def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text())


def breaches(rule: Rule) -> dict[str, str]:
    """File and what was found there -> file and line, for people."""
    found = {}
    for package in PACKAGES:
        files = sorted((ROOT / package).rglob("*.py"))
        assert files, f"{package} has no files"
        for path in files:
            name = str(path.relative_to(ROOT))
            for line, what in rule(parsed(path)):
                found[f"{name} {what}"] = f"{name}:{line}: {what}"
    return found


def check(found: dict[str, str], allowed: Collection[str], what: str) -> None:
    """Fail for what is not allowed, and for what is allowed and not there."""
    wrong = [place for key, place in found.items() if key not in allowed]
    assert not wrong, f"{what}:\n" + "\n".join(wrong)
    assert not set(allowed) - set(found), "allowed, and not there any more: strike it off the list"


def test_the_four_rules_hold() -> None:
    """One test: each process that runs a part of it would parse all files."""
    check(breaches(assigned_from_outside), ASSIGNED, "assigned from outside: give it to the constructor")
    check(breaches(closed_over_too_early), (), "assigned below what closes over it: make it first")
    check(breaches(getattr_with_default), GETATTR, "getattr with a default: declare the attribute")
    found = {key.rpartition("(")[2].rstrip(")"): place for key, place in breaches(any_parameters).items()}
    check(found, ANY, "an Any where a type is meant")


def said(rule: Rule, source: str) -> list[str]:
    return [what for _, what in rule(ast.parse(source))]


def test_what_counts_as_assigned_from_outside() -> None:
    own = """
class A:
    def __init__(self, b):
        self.b, self.c = b, 1
        made = B(b)
        made.d = 1
        other = await B.of(b)
        other.d += 1
    @classmethod
    def of(cls):
        new = cls()
        new.d = 1
"""
    assert said(assigned_from_outside, own) == []
    outside = """
class A:
    def f(self, given):
        given.a = 1
        self.b.c = 1
        found = given.find()
        found.d += 1
        again = B()
        again = given
        again.e = 1
        setattr(given, "f", 1)
        made = B()
        def later():
            made.g = 1
        for self.h.i in (): pass
        del given.j
A.k: int = 1
"""
    assert sorted(said(assigned_from_outside, outside)) == [
        "A.k", "again.e", "found.d", "given.(any)", "given.a", "given.j", "made.g", "self.b.c", "self.h.i",
    ]  # fmt: skip


def test_what_counts_as_closed_over_too_early() -> None:
    source = """
class A:
    def __init__(self, b):
        self.a = 1
        self.f = lambda: self.a + self.c + b + self.method()
        self.c = 2
    def g(self):
        def inner(x): return x + late + self.c
        late = 1
        own = [x for x in ()]
        fine = lambda late: late
"""
    assert said(closed_over_too_early, source) == ["self.c", "late"]


def test_what_counts_as_any_and_as_a_default() -> None:
    source = (
        "def f(a: Any, b: int, *args: Any, c: Any | None = None, **kw: Any) -> Any: getattr(a, 'x'), getattr(a, 'x', 1)"
    )
    assert said(any_parameters, source) == ["f(a)", "f(c)"]
    assert said(getattr_with_default, source) == ["getattr(a, 'x', 1)"]
