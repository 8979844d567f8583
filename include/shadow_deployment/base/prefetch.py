"""Steps ahead: the next items are made in threads while the last one is worked on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
_END: Final = object()


def prefetch(items: Iterator[Item]) -> Generator[Item]:
    """Yield items, each made while the one before it is worked on; what making one raises is raised here.

    Whatever the items are made of belongs to that thread until the last one has come, or until this is closed: close it
    before that is closed, where it is more than the iterator of a loop.
    """
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = pool.submit(next, items, _END)
            yield item  # type: ignore[misc]


def prefetch_map(make: Callable[[Item], Made], items: Iterable[Item], *, threads: int = 1) -> Generator[Made]:
    """Yield what is made of each item, in their order, while what is made of the next ones is being made.

    The items themselves come here, as many ahead as there are `threads`, and only making belongs to these.
    """
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque[Future[Made]]()
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
