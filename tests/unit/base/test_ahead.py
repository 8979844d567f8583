"""One step ahead, or as many as there are threads, and never more; errors come where the items are used."""

import threading
from collections.abc import Iterator

import pytest

from shadow_deployment.base.prefetch import prefetch, prefetch_map


def test_items_come_in_their_order_each_made_while_the_one_before_is_worked_on() -> None:
    made: list[int] = []
    asked = [threading.Event() for _ in range(5)]

    def items() -> Iterator[int]:
        for number in range(4):
            asked[number].set()
            made.append(number)
            yield number
        asked[4].set()

    for number in prefetch(items()):
        assert asked[number + 1].wait(120), "the next one is made meanwhile"
        assert len(made) <= number + 2, "and none beyond it"
    assert made == list(range(4))


def test_what_making_an_item_raises_comes_behind_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise LookupError("gone")

    seen = []
    with pytest.raises(LookupError, match="gone"):
        seen += [one for one in prefetch(items()) if seen.append(one) is None]
    assert seen == [1]


def test_whoever_stops_early_waits_for_the_item_that_is_being_made_and_leaves_no_thread() -> None:
    before, done = threading.active_count(), threading.Event()

    def items() -> Iterator[int]:
        yield 1
        done.set()
        yield 2

    coming = prefetch(items())
    assert next(coming) == 1
    coming.close()
    assert done.is_set()
    assert threading.active_count() == before


def test_of_nothing_there_is_nothing() -> None:
    assert list(prefetch(iter(()))) == []


def test_items_are_taken_here_and_what_is_made_of_them_is_made_one_ahead() -> None:
    here, taken, made = threading.current_thread(), list[int](), list[int]()

    def items() -> Iterator[int]:
        for number in range(4):
            assert threading.current_thread() is here
            taken.append(number)
            yield number

    def make(number: int) -> int:
        assert threading.current_thread() is not here
        made.append(number)
        return number**2

    for number, found in enumerate(prefetch_map(make, items())):
        assert found == number**2
        assert len(taken) <= number + 2
    assert taken == made == list(range(4))


def test_what_cannot_be_made_of_an_item_is_raised_in_its_turn() -> None:
    seen: list[float] = []
    with pytest.raises(ZeroDivisionError):
        seen.extend(prefetch_map(lambda number: 1 / number, [1, 2, 0, 4]))
    assert seen == [1.0, 0.5]


def test_with_two_threads_two_are_made_at_once_and_come_in_their_order() -> None:
    both, taken = threading.Barrier(2, timeout=120), list[int]()

    def items() -> Iterator[int]:
        for number in range(6):
            taken.append(number)
            yield number

    def make(number: int) -> int:
        both.wait()
        return number**2

    for number, found in enumerate(prefetch_map(make, items(), threads=2)):
        assert found == number**2
        assert len(taken) <= number + 3
    assert taken == list(range(6))
