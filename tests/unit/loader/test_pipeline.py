"""How far ahead tasks begin that are weighed before."""

import threading
import time

import pytest

from atlas_ds.loader.pipeline import Pipeline


def run(weights, sizes, limit, threads=4):
    """(pipeline, numbers begun, numbers weighed). Task 0 is as large as the limit: once it was taken, as many bytes may be ahead."""
    weights, sizes = [limit, *weights], [limit, *sizes]
    begun, weighed, lock = [], [], threading.Lock()

    def make(number):
        with lock:
            begun.append(number)
        return number, sizes[number]

    def weigh(number):
        weighed.append(number)
        return weights[number]

    return Pipeline(make, len(sizes), threads=threads, limit=limit, timeout=30, inline=False, weigh=weigh), begun, weighed


def settled(begun):
    """How many have begun once no more do."""
    count = -1
    while count != len(begun):
        count = len(begun)
        time.sleep(0.1)
    return count


def test_each_is_weighed_once_and_in_order():
    sizes = [k % 5 * 100 + 1 for k in range(199)]
    pipeline, begun, weighed = run(sizes, sizes, 500)
    try:
        assert [pipeline.get(number) for number in range(200)] == list(range(200))
        assert sorted(begun) == weighed == list(range(200))
    finally:
        pipeline.close()


def test_the_first_begins_alone():
    pipeline, begun, _ = run([10] * 20, [10] * 20, 700)
    try:
        assert settled(begun) == 1 and pipeline.get(0) == 0 and settled(begun) == 21
    finally:
        pipeline.close()


def test_small_ones_before_a_large_one_do_not_let_it_begin_early():
    sizes = [1] * 19 + [300] * 5 + [1] * 20
    pipeline, begun, _ = run(sizes, sizes, 700)
    try:
        pipeline.get(0)
        assert settled(begun) == 22, "nineteen small ones and two large ones are ahead: 619 bytes"
        for number in range(1, 21):
            assert pipeline.get(number) == number
        assert settled(begun) == 23
        assert [pipeline.get(number) for number in range(21, 45)] == list(range(21, 45))
    finally:
        pipeline.close()


def test_what_turns_out_smaller_makes_room():
    pipeline, begun, _ = run([600] * 10, [10] * 10, 700)
    try:
        assert pipeline.get(0) == 0 and settled(begun) == 11
    finally:
        pipeline.close()


def test_one_that_is_larger_than_the_limit_begins_alone():
    pipeline, begun, _ = run([5000] * 3, [5000] * 3, 700)
    try:
        for number in range(4):
            assert settled(begun) == number + 1 and pipeline.get(number) == number
    finally:
        pipeline.close()


def test_what_weighs_more_than_it_takes_lets_others_begin_by_its_weight():
    """Such as pieces of which most is in a cache, or not read."""
    begun = []
    pipeline = Pipeline(lambda number: (begun.append(number), 1), 20, threads=4, limit=700, timeout=30, inline=False, weigh=lambda number: 100)
    try:
        assert settled(begun) == 1 and pipeline.get(0) is None and settled(begun) == 2
        assert pipeline.get(1) is None and settled(begun) == 20
    finally:
        pipeline.close()


def test_after_a_large_one_several_small_ones_begin_at_once():
    barrier = threading.Barrier(4)

    def make(number):
        if number:
            barrier.wait(10)
        return number, 25 if number else 100

    pipeline = Pipeline(make, 5, threads=4, limit=100, timeout=30, inline=False, weigh=lambda number: 25 if number else 100)
    try:
        assert [pipeline.get(number) for number in range(5)] == list(range(5))
    finally:
        pipeline.close()


def test_an_error_in_weighing_is_one_of_the_task():
    def weigh(number):
        if number == 2:
            raise MemoryError("too many rows")
        return 1

    pipeline = Pipeline(lambda number: (number, 1), 5, threads=3, limit=100, timeout=30, inline=False, weigh=weigh)
    try:
        assert [pipeline.get(0), pipeline.get(1)] == [0, 1]
        with pytest.raises(MemoryError, match="too many rows"):
            pipeline.get(2)
    finally:
        pipeline.close()


def test_those_before_are_waited_for():
    gate = threading.Event()

    def make(number):
        if number == 1:
            gate.wait(30)
        return number, 1

    pipeline, found = Pipeline(make, 3, threads=3, limit=100, timeout=30, inline=False, weigh=lambda number: 0), []
    try:
        assert pipeline.get(0) == 0
        reader = threading.Thread(target=lambda: found.append(pipeline.get(2)))
        reader.start()
        reader.join(0.2)
        assert reader.is_alive() and found == []
        gate.set()
        reader.join(30)
        assert found == [2] and pipeline.get(1) == 1
    finally:
        gate.set()
        pipeline.close()
