"""Another model in a running process: what is now in the bundle's folder, after a SIGHUP.

    kill -HUP $PID                      of the server that `make serve` started

The new model is loaded beside the old one: is there memory for both, is every file as its manifest
says, does it ask the same questions, does it give its golden answers? Then it takes the next
request, and those under way end with the old one. Whatever is wrong keeps the old one and is said
in one line of the log.

gunicorn takes SIGHUP for an order to replace its worker, which would drop connections. So all
threads block the signal and one waits for it, in the process that gunicorn forks its workers from;
it tells each worker by a pipe of its own.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from threading import Thread

import timing
from function import model as models
from function.model import Model
from timing import Span

GOLDEN = "golden.json"
# Bytes of memory for one of a bundle's: 4 were measured (bundle 1.2.0), and requests need some.
NEEDS = 6
SIGNAL = getattr(signal, "SIGHUP", None)  # Windows has none, and no swap


class SwapError(ValueError):
    """Why the model in the folder does not take over."""


class Served:
    """`model` answers now; ask once a request, so that all of an answer comes from one."""

    def __init__(self, folder: str | Path, model: Model):
        self.folder = Path(folder)
        self.model = model
        self._asked = False  # for another model, ever
        self._workers: list[int] = []  # writing ends of their pipes
        self._pipe: tuple[int, int] | None = None  # of the worker that is being forked

    def listen(self) -> None:
        """Swap when the signal comes, here and in every process forked from here."""
        if SIGNAL is None:
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, {SIGNAL})  # threads and forks inherit it
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._in_parent, after_in_child=self._in_child
        )
        Thread(target=self._wait, name="swap", daemon=True).start()

    def swap(self) -> None:
        """Let the model in the folder take over, or say why not. Never raises."""
        severity, old = "INFO", self.model.id
        with Span("swap") as span:
            try:
                new = self.candidate()
                if new is None:
                    done = f"kept: {self.folder} holds the same"
                else:
                    self.model, done = new, f"replaced by {new.id}"
            except Exception as error:  # whatever it is, the old one goes on
                severity, done = "ERROR", f"kept: {str(error) or type(error).__name__}"
        message = f"model {old} {done}, {span.duration_ms:.0f} ms"
        timing.emit({"severity": severity, "message": message})

    def candidate(self) -> Model | None:
        """The model in the folder, verified; None if it is the one that answers already.

        Raises SwapError, GoldenError, and what `models.load` does.
        """
        from function import golden, memory  # no start waits for them

        size, there = models.size(self.folder), memory.free()
        if there is not None and there < NEEDS * size:
            raise SwapError(f"{self.folder}: found a bundle of {size} bytes and {there} bytes of "
                            f"free memory, expected {NEEDS * size}")  # fmt: skip
        new = models.load(self.folder)
        old = self.model
        if (new.fingerprint, new.contract) == (old.fingerprint, old.contract):
            return None
        asks, asked = questions(new), questions(old)
        if asks != asked:
            raise SwapError(f"{self.folder}: found a model that asks {asks}, expected {asked}")
        try:
            expected = json.loads((self.folder / GOLDEN).read_text("utf-8"))
            texts = [phrase["text"] for phrase in expected["phrases"]]
            tasks = [task.name for task in new.contract.tasks]
            golden.compare(expected, tasks, new.answer(texts, scores=True)[0])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SwapError(f"{self.folder / GOLDEN}: {error}") from None
        return new

    def _wait(self) -> None:
        while True:
            signal.sigwait({SIGNAL})
            self._asked = True
            for end in list(self._workers):  # in place: another may be forked meanwhile
                if not _told(end):
                    self._workers.remove(end)
            if not self._workers:  # a server that does not fork, or whose worker is being replaced
                self.swap()

    def _before_fork(self) -> None:
        self._pipe = os.pipe()

    def _in_parent(self) -> None:
        reading, writing = self._pipe
        os.close(reading)
        self._workers.append(writing)

    def _in_child(self) -> None:
        reading, writing = self._pipe
        for end in (writing, *self._workers):
            os.close(end)
        self._workers = []
        Thread(target=self._obey, args=(reading,), name="swap", daemon=True).start()

    def _obey(self, pipe: int) -> None:
        if self._asked:  # in place of a worker that swapped: its parent has the first model still
            self.swap()
        while os.read(pipe, 4096):  # several signals at once are one
            self.swap()


def questions(model: Model) -> str:
    """What callers see of a contract: its name, tasks, labels and which answer awaits which."""
    tasks = [
        [task.name, task.kind, task.labels, dict(task.only_if)] for task in model.contract.tasks
    ]
    return json.dumps([model.contract.name, *tasks])


def _told(pipe: int) -> bool:
    """Whether there is still a worker behind it, which then swaps."""
    try:
        return os.write(pipe, b"!") > 0
    except OSError:
        os.close(pipe)
        return False
