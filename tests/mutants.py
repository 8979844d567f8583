"""Changes what decides in every small way, and counts the changes that the unit tests notice: `make mutants`.

A plugin of pytest. mutmut makes the changes, all those of a module in one copy of it. Tests are collected once, and
measured once without a change. Each change is then tried by a process forked from there: on the tests that call the
changed function, the quickest first, up to one that fails. The variable MUTANTS has what to change, as parts of names
with spaces between them. They are tried in a random order: what was tried when a run is stopped by Ctrl-C, is a sample.
`mutants/found.txt` keeps what was found, so that a run can go on where it was stopped, and after a new test only what
had survived is tried; a changed module begins anew.
"""

import contextlib
import gc
import hashlib
import importlib
import json
import os
import random
import re
import signal
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from fnmatch import fnmatch
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from time import process_time
from types import CodeType, ModuleType
from typing import IO, Literal, TypeVar

import hypothesis
import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state

T = TypeVar("T")
Outcome = Literal["found", "equivalent", "survived"]

PROJECT = Path(__file__).parents[1]
INCLUDE = PROJECT / "include"
CHANGED = ("statistics/*.py", "decision/*.py", "decision/safeguards/*.py", "data/sampling.py")
WANTED = [f"*{each}*" for each in os.environ.get("MUTANTS", "").split()] or ["*"]
FOUND = PROJECT / "mutants/found.txt"
BUDGET = 10.0  # seconds of the processor that the tests of one function take: more are not tried on a change
SECONDS, TIMES = 2.0, 10  # more of the processor, and times as long as without a change, that a test may take
STRICT = re.compile(r",\s*(strict=(True|False|None))?\s*(?=\))")


@dataclass(frozen=True)
class Mutant:
    """A change of one function: the lines that it replaces, and by what. `digest` is that of the module's text."""

    digest: str
    module: str
    name: str
    before: str
    after: str

    @property
    def function(self) -> str:
        """The changed function as mutmut names it."""
        return f"{self.module}.{self.name.partition('__mutmut_')[0]}"

    @property
    def key(self) -> str:
        """What it is kept by once it was found."""
        return f"{self.digest} {self.module}.{self.name}"

    @property
    def is_equivalent(self) -> bool:
        """Whether it changes nothing that the program does, by the rule in tests/README.md."""
        return STRICT.sub("", self.before) == STRICT.sub("", self.after)

    def __str__(self) -> str:
        return f"{self.module}.{self.name}\n    - {self.before}\n    + {self.after}"


class Changed(SourceFileLoader):
    """Loads a module with all its changes, each of which is made when it is asked for."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of a module with its changes, which `MUTANTS` then has."""
        text = Path(self.path).read_text(encoding="utf-8")
        file, digest = mutate_file_contents(self.path, text), hashlib.sha256(text.encode()).hexdigest()[:16]
        lines = file.code.splitlines()
        functions = {
            name: [line.strip() for line in lines[span.start - 1 : span.end] if not line.strip().startswith("def ")]
            for name, span in file.line_span_by_function_name.items()
        }
        for name in file.mutant_names:
            original = functions[f"{name.partition('__mutmut_')[0]}__mutmut_orig"]
            difference = list(unified_diff(original, functions[name], n=0, lineterm=""))[2:]
            before, after = (" ".join(line[1:] for line in difference if line[0] == sign) for sign in "-+")
            MUTANTS.append(Mutant(digest, fullname, name, before, after))
        return compile(file.code, self.path, "exec")


class Finder(MetaPathFinder):
    """Finds the modules that are changed."""

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how to load a module with its changes, None for any other module."""
        file = FILES.get(fullname)
        return spec_from_file_location(fullname, file, loader=Changed(fullname, str(file))) if file else None


MUTANTS: list[Mutant] = []
FILES = {
    ".".join(path.relative_to(INCLUDE).with_suffix("").parts): path
    for pattern in CHANGED
    for path in sorted((INCLUDE / "shadow_deployment").glob(pattern))
    if path.stem != "__init__"
}
sys.meta_path.insert(0, Finder())


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Let properties try the same examples each time, and make a failing one no smaller."""
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile(
        "changes", hypothesis.settings(), derandomize=True, database=None, phases=phases
    )
    hypothesis.settings.load_profile("changes")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Try the changes in place of the tests, and print those that survive, and the table."""
    wanted = [mutant for mutant in MUTANTS if any(fnmatch(f"{mutant.module}.{mutant.name}", each) for each in WANTED)]
    outcomes: dict[Mutant, Outcome] = {mutant: "equivalent" for mutant in wanted if mutant.is_equivalent}
    FOUND.parent.mkdir(exist_ok=True)
    with FOUND.open("a+", encoding="utf-8") as file:
        file.seek(0)
        known = set(file.read().splitlines())
        outcomes |= {mutant: "found" for mutant in wanted if mutant.key in known}
        tests = measured(session.items)
        gc.freeze()  # what is collected in a forked process is copied to it
        untried = [mutant for mutant in wanted if mutant not in outcomes]
        random.Random(0).shuffle(untried)
        with contextlib.suppress(KeyboardInterrupt):
            for mutant, survived in in_processes(untried, lambda mutant: survives(mutant, tests[mutant.function])):
                outcomes[mutant] = "survived" if survived else "found"
                print(mutant if survived else mutant.key, file=sys.stdout if survived else file, flush=True)
    print(f"{len(outcomes)} of {len(wanted)} changes\n", *table(outcomes), sep="\n", flush=True)
    return True


@dataclass(frozen=True)
class Test:
    """A test, and how many seconds of the processor it takes."""

    item: pytest.Item
    seconds: float

    def passes(self) -> bool:
        """Run it; where it takes too long, the process ends."""
        signal.setitimer(signal.ITIMER_PROF, SECONDS + TIMES * self.seconds)
        return not any(report.failed for report in runtestprotocol(self.item, log=False, nextitem=None))


def measured(items: Sequence[pytest.Item]) -> defaultdict[str, list[Test]]:
    """Return which tests call a function, the quickest first, by the function's name."""
    with tempfile.TemporaryFile("w+") as file:
        ((_, passed),) = in_processes([file], lambda file: measure(items, file))
        if not passed:
            raise pytest.UsageError("a test fails without a change: see make test-unit")
        file.seek(0)
        calls, modules = json.load(file)
    for module in modules:
        with contextlib.suppress(ImportError):  # what tests import when they run, each process would import again
            importlib.import_module(module)
    tests, spent = defaultdict(list), Counter[str]()
    for item, (seconds, functions) in sorted(zip(items, calls, strict=True), key=lambda pair: pair[1][0]):
        for function in functions:
            spent[function] += seconds
            if spent[function] <= BUDGET:
                tests[function].append(Test(item, seconds))
    return tests


def measure(items: Sequence[pytest.Item], file: IO[str]) -> bool:
    """Write what each test takes and which functions it calls; return whether all of them pass."""
    set_mutant_under_test("stats")
    calls = []
    for item in items:
        start = process_time()
        if not Test(item, 60).passes():
            return False
        calls.append((process_time() - start, sorted(state()._stats)))
        state()._stats.clear()
    json.dump([calls, sorted(sys.modules)], file)
    file.flush()
    return True


def survives(mutant: Mutant, tests: Sequence[Test]) -> bool:
    """Return whether no test notices a change."""
    set_mutant_under_test(f"{mutant.module}.{mutant.name}")
    return all(test.passes() for test in tests)


def in_processes(jobs: Iterable[T], do: Callable[[T], bool]) -> Iterator[tuple[T, bool]]:
    """Do each job in a forked process, as many at once as there are cores; yield it and what `do` said of it.

    A process that ends in any other way, as by a signal, has said False.
    """
    running: dict[int, T] = {}
    for job in jobs:
        if len(running) == (os.cpu_count() or 1):
            yield ended(running)
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.dup2(1, 2)
            code = 1
            try:
                code = 0 if do(job) else 1
            finally:
                os._exit(code)
        running[pid] = job
    while running:
        yield ended(running)


def ended(running: dict[int, T]) -> tuple[T, bool]:
    """Wait for one of the processes."""
    pid, status = os.wait()
    return running.pop(pid), status == 0


def table(outcomes: Mapping[Mutant, Outcome]) -> Iterator[str]:
    """Yield a table in Markdown: of each module, and of all, how many changes were found."""
    by_module: dict[str, Counter[Outcome]] = defaultdict(Counter)
    for mutant, outcome in outcomes.items():
        for name in (mutant.module.removeprefix("shadow_deployment."), "all"):
            by_module[name][outcome] += 1
    yield "| module | changes | equivalent | found | survived | score |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for name in sorted(by_module, key=lambda name: (name == "all", name)):
        found, survived, equivalent = (by_module[name][each] for each in ("found", "survived", "equivalent"))
        score = f"{found / (found + survived):.1%}" if found + survived else ""
        yield f"| `{name}` | {found + survived + equivalent} | {equivalent} | {found} | {survived} | {score} |"
