import time

import pytest

from interdiff.learning.costs import median_milliseconds


def counted(seconds=0.0):
    calls = []

    def run(n):
        calls.append(n)
        time.sleep(seconds)

    return run, calls


def test_the_median_of_the_calls_after_the_warm_up():
    run, calls = counted(0.002)
    assert median_milliseconds(run, repeats=5) == pytest.approx(2, rel=1)
    assert calls == [0, 0, 0, 1, 2, 3, 4]


def test_of_slow_calls_there_are_fewer_but_three_at_least():
    run, calls = counted(0.01)
    median_milliseconds(run, warm_up=0, most_seconds=0.045)
    assert 3 <= len(calls) <= 5
    run, calls = counted(0.01)
    median_milliseconds(run, warm_up=0, most_seconds=0.0)
    assert calls == [0, 1, 2]
