"""Prefetching: threads produce the next items while the caller works on the current one."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_END: Final = object()


def prefetch(items: Iterator[Item]) -> Generator[Item]:
    """Yield items, each produced in a thread while the caller works on the one before it.

    An exception of the iterator is raised here, in its turn. The iterator's resources belong to the thread until the
    last item or until this generator is closed: close the generator before them.
    """
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, _END)
        while (item := future.result()) is not _END:
            future = pool.submit(next, items, _END)
            yield item  # type: ignore[misc]


def prefetch_map(function: Callable[[Item], Result], items: Iterable[Item], *, threads: int = 1) -> Generator[Result]:
    """Yield the result of a function for each item, in order, while threads compute the next `threads` results.

    Items are taken in the caller's thread; only `function` runs in others.
    """
    with ThreadPoolExecutor(threads) as pool:
        pending = deque[Future[Result]]()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
