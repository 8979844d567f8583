"""A clock for what measures time or waits: a test then takes no time, and none of a busy machine's."""


class Clock:
    """Stands for the module `time`: time passes only where the work says so, or where somebody sleeps."""

    def __init__(self) -> None:
        self.now = self.slept = self.computed = 0.0

    def perf_counter(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def thread_time(self) -> float:
        return self.computed

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds
        self.slept += seconds
