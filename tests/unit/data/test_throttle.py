"""How a throttle divides work into chunks, and how long it pauses after each."""

import math

import pytest

from shadow_deployment.data.sources.postgres import throttle as throttles
from shadow_deployment.data.sources.postgres.throttle import CHUNK_SECONDS, FREE_SECONDS, MAX_PAUSE_SECONDS, Throttle
from tests.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throttles, "time", clock)
    return clock


def work(throttle: Throttle, clock: Clock, amount: float, *, fixed: float = 0.0004, each: float = 2e-6) -> list[float]:
    """Work off an amount; return the seconds of each chunk."""
    seconds = []
    while amount > 0:
        size = min(throttle.size, amount)
        with throttle.chunk():
            seconds.append(fixed + each * size)
            clock.now += seconds[-1]
        amount -= size
    return seconds


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_work_takes_its_share_of_the_time_and_no_more(clock: Clock, share: float) -> None:
    worked = sum(work(Throttle(share, 100), clock, 1_000_000))
    assert (worked - FREE_SECONDS) / (clock.now - FREE_SECONDS) == pytest.approx(share, rel=1e-6)


def test_the_first_work_has_no_pauses(clock: Clock) -> None:
    throttle = Throttle(0.1, 100)
    work(throttle, clock, 300, fixed=0.0001)
    assert FREE_SECONDS / 4 < clock.now < FREE_SECONDS
    assert clock.slept == 0


def test_a_long_chunk_is_not_made_up_for(clock: Clock) -> None:
    """Production ends a session that is idle for long, so the pause is cut short."""
    throttle = Throttle(0.1, 100)
    for seconds, pause in ((60.0, MAX_PAUSE_SECONDS), (0.001, 0.009)):
        before = clock.slept
        with throttle.chunk():
            clock.now += seconds
        assert clock.slept - before == pytest.approx(pause)


@pytest.mark.parametrize("round_trip", [0.0001, 0.002])
def test_a_round_trip_is_idle_time(clock: Clock, round_trip: float) -> None:
    throttle = Throttle(0.1, 10, round_trip=round_trip)
    seconds = work(throttle, clock, 1_000_000, fixed=round_trip + 0.00005)
    worked = sum(seconds) - round_trip * len(seconds)
    assert (worked - FREE_SECONDS) / (clock.now - FREE_SECONDS) == pytest.approx(0.1, rel=0.02)
    assert all(elapsed - round_trip <= 1.5 * CHUNK_SECONDS for elapsed in seconds)
    assert worked / len(seconds) > 0.8 * CHUNK_SECONDS


def test_what_this_thread_computes_is_idle_time(clock: Clock) -> None:
    throttle = Throttle(0.1, 100)
    for _ in range(100):
        with throttle.chunk():
            clock.now += 0.003
            clock.computed += 0.002
    assert (0.1 - FREE_SECONDS) / (clock.now - FREE_SECONDS) == pytest.approx(0.1, rel=1e-6)


def test_a_share_of_one_is_one_chunk_without_a_pause(clock: Clock) -> None:
    assert len(work(Throttle(1.0, 100), clock, 10_000_000)) == 1
    assert clock.slept == 0


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_chunks_never_grow_beyond_the_maximum(clock: Clock, share: float) -> None:
    throttle = Throttle(share, 100, 5000)
    sizes = []
    for part in throttle.split(range(100_000)):
        sizes.append(len(part))
        with throttle.chunk():
            clock.now += 1e-9
    assert max(sizes) == 5000
    assert sum(sizes) == 100_000
    assert share < 1 or len(sizes) == 20


def test_chunks_grow_until_each_takes_its_time(clock: Clock) -> None:
    seconds = work(Throttle(0.1, 1), clock, 1_000_000, fixed=0.00005)
    assert seconds[0] < CHUNK_SECONDS / 4
    assert all(elapsed <= 1.5 * CHUNK_SECONDS for elapsed in seconds)
    assert sum(seconds) / len(seconds) > 0.8 * CHUNK_SECONDS


def test_chunks_shrink_where_rows_take_longer(clock: Clock) -> None:
    throttle = Throttle(0.1, 10)
    work(throttle, clock, 100_000, fixed=0.00005)
    seconds = work(throttle, clock, 100_000, fixed=0.00005, each=5e-6)
    assert all(elapsed <= 1.5 * CHUNK_SECONDS for elapsed in seconds[3:])


def test_chunks_never_become_smaller_than_the_first(clock: Clock) -> None:
    """A slow network, or a busy machine, makes every chunk slow: smaller ones would only be more of them."""
    throttle = Throttle(0.1, 100)
    with throttle.chunk():
        clock.now += 0.0003
    seconds = work(throttle, clock, 10_000, fixed=0.01, each=0)
    assert len(seconds) <= 100


def test_where_the_smallest_chunk_takes_long_there_are_few(clock: Clock) -> None:
    """A view may read everything for each of them: to read little at a time would then be more work, not less."""
    seconds = work(Throttle(0.1, 1), clock, 100_000, fixed=0.5)
    assert len(seconds) < 30
    seconds = work(Throttle(0.1, 1), clock, 1_000_000, fixed=0.01)
    assert 0.01 * len(seconds) < 0.7 * sum(seconds)


def test_a_chunk_that_takes_no_time_is_no_division_by_zero(clock: Clock) -> None:
    throttle = Throttle(0.1, 100)
    with pytest.raises(KeyError), throttle.chunk():
        raise KeyError
    with throttle.chunk():
        pass
    assert math.isfinite(throttle.size)
    assert throttle.size > 0


def test_all_work_is_split_once(clock: Clock) -> None:
    throttle, worked = Throttle(0.1, 3), list[int]()
    for part in throttle.split(range(1000)):
        assert len(part) >= 1
        with throttle.chunk():
            clock.now += 0.02 * len(part)
        worked += part
    assert worked == list(range(1000))
    assert [list(chunk) for chunk in Throttle(1.0, 3).split(range(1000))] == [worked]
    assert list(Throttle(1.0, 3).split([])) == []
