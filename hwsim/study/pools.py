"""Where jobs of a study run: processes of this machine, a Dask cluster, or any executor of concurrent.futures; and what happens
when a worker dies.

A job is a function and its arguments. A bounded number of them is under way at a time, so memory does not grow with their number.
Of our own processes a dead one is replaced: the jobs that were under way run again, one at a time, and the one during which a
process dies once more is the one to blame. A Dask cluster gives a dead worker's jobs to another worker itself.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context, parent_process
from threading import Thread
from time import monotonic
from typing import Any

from hwsim.study.point import StudyError

KEPT = "the rows made so far are kept, so run the study again to go on"
AHEAD = 3
"""Jobs under way for each worker: one that runs, and some that wait, so that none idles."""
ALONE_S = 60.0
"""Seconds that a cluster may be without any worker before its study ends."""
CONNECT_S = 10
"""Seconds to reach a cluster."""
LOOKS_S = 5.0
"""Seconds between two looks at whether a cluster has workers."""


@dataclass(eq=False)
class Job:
    """Work to be done: `function(*arguments())`; arguments are made when the job starts, so that a long queue takes no room.

    about   whatever the caller wants to find again.        died   how often a worker did during it.
    """

    function: Callable[..., Any]
    arguments: Callable[[], tuple[Any, ...]]
    about: Any = None
    died: int = 0


@dataclass
class Died:
    """In place of an answer: the job's worker died each time that it ran."""

    reason: str


class Here(Executor):
    """Works in this process: points are small, and starting a process takes longer than many of them."""

    def submit(self, function: Any, /, *args: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(function(*args, **named))
        except BaseException as error:  # told by the future, as any executor does
            done.set_exception(error)
        return done


@dataclass(eq=False)
class Pool:
    """An executor, how many workers it has, and what is asked now and then whether it is alive."""

    executor: Executor
    workers: int
    renew: Callable[[], Executor] | None = None
    alive: Callable[[], None] | None = None
    queue: deque[Job] = field(default_factory=deque)
    """Jobs to come. Whoever takes answers may add some."""

    def answers(self) -> Iterator[tuple[Job, Any]]:
        """Each job with its answer, or Died, as they are finished, until the queue is empty and nothing is under way.

        Raises StudyError when the executor itself fails.
        """
        running: dict[Future[Any], Job] = {}
        suspects: deque[Job] = deque()
        while self.queue or suspects or running:
            if suspects and not running:
                self._submit(suspects.popleft(), running)
            while self.queue and not suspects and len(running) < AHEAD * self.workers and not any(
                    job.died for job in running.values()):
                self._submit(self.queue.popleft(), running)
            ready, _ = wait(running, timeout=LOOKS_S if self.alive else None, return_when=FIRST_COMPLETED)
            if not ready and self.alive:
                self.alive()
            broken = False
            # In the order of the queue, and answers before what ends the study: no answer that is there is lost.
            for future in sorted((one for one in running if one in ready), key=_failed):
                job = running.pop(future)
                try:
                    answer = future.result()
                except BrokenProcessPool:
                    broken = True
                    job.died += 1
                    if job.died < 2:
                        suspects.append(job)
                        continue
                    answer = Died("a worker process died of it, twice (killed, or out of memory)")
                except CancelledError:
                    raise StudyError(f"a job was cancelled: its cluster has closed; {KEPT}") from None
                except Exception as error:
                    if type(error).__name__ == "KilledWorker":
                        answer = Died("every worker of the cluster that ran it died (killed, or out of memory)")
                    else:
                        raise StudyError(f"a worker failed: {type(error).__name__}: {error}; {KEPT}") from error
                yield job, answer
            if broken:
                for job in running.values():  # none of them will be finished
                    job.died += 1
                    suspects.append(job)
                running.clear()
                if self.renew is None:
                    raise StudyError(f"a worker process died (killed, or out of memory); {KEPT}, with fewer workers if memory "
                                     "was short")
                self.executor = self.renew()

    def _submit(self, job: Job, running: dict[Future[Any], Job]) -> None:
        try:
            future = self.executor.submit(job.function, *job.arguments())
        except BrokenProcessPool:  # a process died while nothing was under way
            if self.renew is None:
                raise
            self.executor = self.renew()
            future = self.executor.submit(job.function, *job.arguments())
        running[future] = job


def _failed(future: Future[Any]) -> bool:
    return future.cancelled() or future.exception() is not None


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def pool_of(workers: int | None = None, executor: Executor | None = None, dask: str | None = None) -> Iterator[Pool]:
    """The given executor, a Dask cluster by its address, or processes of our own: by default one for each processor.

    Raises StudyError for a cluster that is not there.
    """
    if executor is not None:
        yield Pool(executor, getattr(executor, "_max_workers", 1 if isinstance(executor, Here) else processors()))
        return
    if dask is not None:
        with _cluster(dask) as pool:
            yield pool
        return
    count = workers or processors()
    made: list[ProcessPoolExecutor] = []

    def start() -> Executor:
        # They start from nothing: forks of a process with threads may hang.
        made.append(ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_serve))
        return made[-1]

    try:
        yield Pool(start(), count, start)
    except BaseException:  # Ctrl-C as well: nobody waits for what is under way
        for each in made:
            for process in list((getattr(each, "_processes", None) or {}).values()):
                process.terminate()
        raise
    finally:
        for each in made:
            each.shutdown(cancel_futures=True)


def _serve() -> None:
    """Of a worker: Ctrl-C is its parent's business, and it ends when the parent does, however that ends; a killed one would leave
    it waiting for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end() -> None:
        if (parent := parent_process()) is not None:
            parent.join()
            os._exit(1)

    Thread(target=end, daemon=True).start()


def _check_address(address: str) -> None:
    """Raises ValueError for what no scheduler can listen at; a Client that was given it would complain once more when it ends."""
    _, _, place = address.rpartition("://")
    _, _, port = place.rpartition(":")
    if ":" not in place or not port.isdecimal():
        raise ValueError(f"{address!r} has no port")


@contextmanager
def _cluster(address: str) -> Iterator[Pool]:
    try:
        from distributed import Client
    except ImportError:
        raise StudyError("a Dask cluster needs the package distributed; pip install hwsim[dask], or run without --dask") from None
    try:
        _check_address(address)
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise StudyError(f"{address}: no Dask scheduler answers there ({_first_line(error)}); start one with `dask scheduler` "
                         "and workers with `dask worker ADDRESS`, and give its address, such as tcp://host:8786") from None
    alone_since: list[float] = []

    def alive() -> None:
        if client.status != "running":
            raise StudyError(f"{address}: the Dask scheduler has gone; {KEPT}")
        if client.ncores():
            alone_since.clear()
        elif not alone_since:
            alone_since.append(monotonic())
        elif monotonic() - alone_since[0] > ALONE_S:
            raise StudyError(f"{address}: the Dask cluster has no worker since {ALONE_S:.0f} seconds; start some with "
                             f"`dask worker {address}`; {KEPT}")

    try:
        # Pure jobs of equal arguments would be one: ours are told apart, and one that is asked for again runs again.
        yield Pool(client.get_executor(pure=False), max(1, sum(client.ncores().values())), alive=alive)
    finally:
        client.close(timeout=CONNECT_S)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
