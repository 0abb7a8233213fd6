"""Timing with a clock that is told what time it is: instant and exact."""

import asyncio
import contextvars
import inspect
import json
import threading

import pytest

import timing
from timing import timed

pytestmark = pytest.mark.usefixtures("clock")


def test_block_and_decorator_log_one_record_each(clock, records):
    @timed("work")
    def work(x, *, y):
        """What it does."""
        clock[0] += 2_500_000
        return x + y

    with timed("block") as span:
        clock[0] += 1_000_000
    assert work(1, y=2) == 3
    assert span.duration_ms == 1.0
    assert [(r["span"], r["duration_ms"], r["severity"]) for r in records] == [
        ("block", 1.0, "INFO"), ("work", 2.5, "INFO")
    ]  # fmt: skip
    assert (work.__name__, work.__doc__) == ("work", "What it does.")


def test_bare_decorator_uses_the_functions_own_name(records):
    @timed
    def plain():
        pass

    plain()
    assert records[0]["span"].endswith("plain")


def test_an_exception_is_timed_marked_and_raised_without_its_message(clock, records):
    with pytest.raises(KeyError), timed("fails"):
        clock[0] += 3_000_000
        raise KeyError("secret")
    assert records[0]["duration_ms"] == 3.0
    assert (records[0]["severity"], records[0]["error"]) == ("ERROR", "KeyError")
    assert "secret" not in json.dumps(records)


def test_recursion_times_every_level(clock, records):
    @timed("deep")
    def deep(n):
        clock[0] += 1_000_000
        if n:
            deep(n - 1)

    deep(2)
    assert [record["duration_ms"] for record in records] == [1.0, 2.0, 3.0]


def test_threads_do_not_mix(clock, records):
    inside, go_on = threading.Event(), threading.Event()

    @timed("thread")
    def work():
        inside.set()
        go_on.wait(5)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(5)
    clock[0] += 4_000_000
    with timed("other"):
        clock[0] += 1_000_000
    go_on.set()
    thread.join()
    assert {r["span"]: r["duration_ms"] for r in records} == {"other": 1.0, "thread": 5.0}


def test_async_functions_are_timed_to_their_end(clock, records):
    @timed("async")
    async def work():
        clock[0] += 1_000_000
        await asyncio.sleep(0)
        clock[0] += 1_000_000
        return 7

    assert asyncio.run(work()) == 7
    assert records[0]["duration_ms"] == 2.0


def test_the_shapes_of_py_profile(records):
    def work():
        pass

    work.__qualname__ = "Room.work"
    for decorated in (
        timed(work),
        timed()(work),
        timed(desc="What it does")(work),
        timed(desc="What it does", append_name=True)(work),
        timed(desc="What it does", append_name=True, append_template="{} [{}]")(work),
        timed(append_name=True)(work),
    ):
        decorated()
    assert [record["span"] for record in records] == [
        "Room.work", "Room.work", "What it does", "What it does - Room.work",
        "What it does [Room.work]", "Room.work",
    ]  # fmt: skip


def test_methods_keep_their_instance_and_arguments_stay_out_of_the_log(records):
    class Room:
        def __init__(self, size):
            self.size = size

        @timed
        def area(self, word, *, secret):
            return self.size

        @staticmethod
        @timed("static")
        def static(x):
            return x

        @classmethod
        @timed("class")
        def made(cls, size):
            return cls(size)

    assert Room(3).area("unmistakable", secret="unmistakable") == 3
    assert (Room.static(4), Room.made(5).size) == (4, 5)
    assert [record["span"].split(".")[-1] for record in records] == ["area", "static", "class"]
    assert "unmistakable" not in json.dumps(records)


def test_what_has_no_name_of_its_own_is_timed_under_its_types(records):
    class Callable:
        def __call__(self):
            return 1

    assert timed(Callable())() == 1
    assert records[0]["span"] == "Callable"


def test_nested_spans_know_their_parent(records):
    @timed("inner")
    def inner():
        pass

    with timed("outer") as outer, timed("middle") as middle:
        inner()
    with timed("after") as after:
        pass
    assert (middle.parent, outer.parent, after.parent) == (outer, None, None)
    assert [(record["span"], record.get("parent")) for record in records] == [
        ("inner", "middle"), ("middle", "outer"), ("outer", None), ("after", None)
    ]  # fmt: skip


def test_a_parent_is_left_by_an_exception_too(records):
    with timed("outer"):
        with pytest.raises(OSError), timed("fails"):
            raise OSError
        with timed("next"):
            pass
    assert [record.get("parent") for record in records] == ["outer", "outer", None]


def test_a_thread_starts_without_a_parent_unless_it_is_given_the_context(records):
    def work():
        with timed("thread"):
            pass

    with timed("outer"):
        for given in ((work,), (contextvars.copy_context().run, work)):
            thread = threading.Thread(target=given[0], args=given[1:])
            thread.start()
            thread.join()
    assert [record.get("parent") for record in records] == [None, "outer", None]


def test_tasks_have_the_parent_they_were_made_in(clock, records):
    @timed("task")
    async def task(n):
        await asyncio.sleep(0)
        clock[0] += n
        with timed(f"inside {n}"):
            await asyncio.sleep(0)

    async def main():
        with timed("outer"):
            await asyncio.gather(task(1), task(2))

    asyncio.run(main())
    assert {record["span"]: record.get("parent") for record in records} == {
        "inside 1": "task", "inside 2": "task", "task": "outer", "outer": None
    }  # fmt: skip


def test_a_failing_coroutine_is_marked(clock, records):
    @timed("async")
    async def fails():
        clock[0] += 1_000_000
        raise ValueError("secret")

    with pytest.raises(ValueError):
        asyncio.run(fails())
    assert inspect.iscoroutinefunction(fails)
    assert (records[0]["error"], records[0]["duration_ms"]) == ("ValueError", 1.0)


def test_a_generator_is_timed_in_its_own_turns_alone(clock, records):
    @timed("numbers")
    def numbers():
        for n in range(3):
            clock[0] += 1_000_000
            with timed("inside"):
                pass
            yield n
        return "end"

    def main():
        return (yield from numbers())

    found = main()
    assert records == []
    with timed("outer"):
        for _ in found:
            clock[0] += 100_000_000
            with timed("consumer"):
                pass
    assert [r for r in records if r["span"] == "numbers"] == [
        {"severity": "INFO", "span": "numbers", "duration_ms": 3.0, "parent": "outer"}
    ]
    parents = {record["span"]: record.get("parent") for record in records}
    assert (parents["inside"], parents["consumer"]) == ("numbers", "outer")
    assert inspect.isgeneratorfunction(numbers)


def test_a_generator_gets_what_is_sent_and_thrown(records):
    @timed("echo")
    def echo():
        got = []
        while len(got) < 3:
            try:
                got.append((yield len(got)))
            except KeyError:
                got.append("thrown")
        return got

    running = echo()
    assert [next(running), running.send("sent"), running.throw(KeyError("x"))] == [0, 1, 2]
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == ["sent", "thrown", None]
    assert [record["severity"] for record in records] == ["INFO"]


def test_a_generator_that_is_left_early_ends_well_and_one_that_fails_does_not(records):
    ended = []

    @timed("numbers")
    def numbers(fails):
        try:
            yield 1
            if fails:
                raise ValueError("secret")
            yield 2
        finally:
            ended.append(fails)

    left = numbers(False)
    next(left)
    left.close()
    with pytest.raises(ValueError):
        list(numbers(True))
    assert ended == [False, True]
    assert [record.get("error") for record in records] == [None, "ValueError"]


def test_a_block_in_a_generator_may_end_in_another_context(records):
    def generator():
        with timed("block"):
            yield

    running = generator()
    contextvars.copy_context().run(next, running)
    contextvars.copy_context().run(running.close)
    assert [(r["span"], r["severity"]) for r in records] == [("block", "INFO")]


def test_async_generators(clock, records):
    @timed("numbers")
    async def numbers(most):
        try:
            for n in range(most):
                clock[0] += 1_000_000
                await asyncio.sleep(0)
                if (yield n) == "stop":
                    return
        except KeyError:
            clock[0] += 5_000_000
            yield "thrown"
            raise

    async def main():
        async for _ in numbers(2):
            clock[0] += 100_000_000
        stopped = numbers(9)
        await anext(stopped)
        with pytest.raises(StopAsyncIteration):
            await stopped.asend("stop")
        failing = numbers(9)
        await anext(failing)
        assert await failing.athrow(KeyError("secret")) == "thrown"
        with pytest.raises(KeyError):
            await anext(failing)
        left = numbers(9)
        await anext(left)
        await left.aclose()

    asyncio.run(main())
    assert [(r["duration_ms"], r.get("error")) for r in records] == [
        (2.0, None), (1.0, None), (6.0, "KeyError"), (1.0, None)
    ]  # fmt: skip
    assert inspect.isasyncgenfunction(numbers)


def test_labels_are_recorded(records):
    with timed("block") as span:
        span.labels = {"model": "pets-0.1.0"}
    assert records[0]["labels"] == {"model": "pets-0.1.0"}


def test_without_a_sink_all_runs_bare(clock, monkeypatch):
    monkeypatch.setattr(timing, "sink", None)

    @timed("work")
    def work():
        return timing.current.get()

    @timed("async")
    async def later():
        return timing.current.get()

    @timed("numbers")
    def numbers():
        yield 1

    with timed("block") as span:
        clock[0] += 1_000_000
        span.labels = {"model": "pets-0.1.0"}
        assert work() is None
    assert (span.name, span.duration_ms, span.labels) == ("block", None, None)
    assert (asyncio.run(later()), list(numbers())) == (None, [1])
    with pytest.raises(KeyError), timed("block"):
        raise KeyError
    timing.emit({"message": "goes nowhere"})


def test_a_span_knows_its_time_without_a_sink(clock, monkeypatch):
    monkeypatch.setattr(timing, "sink", None)
    with timing.Span("block") as span:
        clock[0] += 1_000_000
    assert span.duration_ms == 1.0


def test_what_is_decorated_before_there_is_a_sink_is_recorded_once_there_is(records, monkeypatch):
    sink = timing.sink
    monkeypatch.setattr(timing, "sink", None)

    @timed("work")
    def work():
        pass

    monkeypatch.setattr(timing, "sink", sink)
    work()
    assert [record["span"] for record in records] == ["work"]
