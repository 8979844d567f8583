"""One step ahead: the next item is made in a thread while the last one is worked on."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
_END: Final = object()


def ahead(items: Iterator[Item]) -> Generator[Item]:
    """Yield items, each made while the one before it is worked on; what making one raises is raised here.

    Whatever the items are made of belongs to that thread until the last one has come, or until this is closed: close it
    before that is closed, where it is more than the iterator of a loop.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = pool.submit(next, items, _END)
            yield item  # type: ignore[misc]


def made_ahead(make: Callable[[Item], Made], items: Iterable[Item]) -> Generator[Made]:
    """Yield what is made of each item, while what was made of the one before is worked on.

    The items themselves come here, and only making belongs to the thread.
    """
    with ThreadPoolExecutor(1) as pool:
        waiting: Future[Made] | None = None
        for item in items:
            coming = pool.submit(make, item)
            if waiting is not None:
                yield waiting.result()
            waiting = coming
        if waiting is not None:
            yield waiting.result()
