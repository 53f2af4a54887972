"""A coordinator for the tests of the process pool: a script, because worker processes cannot import a test module."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, wait

from cpp_framework.execute import Workers


def nap(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def close_while_workers_are_killed() -> None:
    """End many pools while one of their idle workers is killed: none may wait for ever."""
    moment = random.Random(20261123)
    for _ in range(30):
        with Workers(2) as workers:
            idle = [future.result() for future in [workers.submit(nap, 0.01) for _ in range(4)]]
            shot = threading.Thread(target=shoot, args=(moment.choice(idle), moment.uniform(0, 0.004)))
            shot.start()
        shot.join()
    print("ended")


def shoot(pid: int, after: float) -> None:
    time.sleep(after)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def big_result(killed_after: float) -> bytes:
    threading.Thread(target=shoot, args=(os.getpid(), killed_after)).start()
    return bytes(100_000_000)


def die_while_sending() -> None:
    """Workers die at several moments around the sending of a big result: the pool must not wait for its rest."""
    for n in range(12):
        with Workers(2) as workers:
            future = workers.submit(big_result, 0.04 * n)
            until = time.monotonic() + 10
            while not wait([future], 0.1).done:
                workers.notice_death()
                if time.monotonic() > until:
                    print("waits for ever", flush=True)
                    os.killpg(os.getpgid(0), signal.SIGKILL)
            assert future.exception() is None or isinstance(future.exception(), BrokenExecutor)
    print("ended")


def signals_to_the_group() -> None:
    """What a terminal or batch system sends to all processes is the coordinator's to hear."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: print("heard", signal.Signals(number).name, flush=True))
    with Workers(2) as workers:
        before = workers.submit(nap, 0).result()
        later = workers.submit(nap, 0.5)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.killpg(os.getpgid(0), number)
        print("same worker" if later.result() == before else "another worker")
        killed = time.monotonic()
        workers.submit(nap, 60)
        workers.kill()
        print("killed" if time.monotonic() - killed < 5 else "waited")


def signal_while_a_worker_starts() -> None:
    """A signal that comes while a task is handed out takes effect when that is done, so that the worker is known."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, stop)
    with Workers(2) as workers:
        signal.setitimer(signal.ITIMER_REAL, 0.05)  # the fork server is still importing
        try:
            workers.submit(nap, 60)
        except KeyboardInterrupt:
            print("interrupted")
        workers.kill()
    print("ended")


def leave_workers_behind() -> None:
    """Die without a word while workers are at a long task, and tell their pids."""
    workers = Workers(2)
    print(*{future.result() for future in [workers.submit(nap, 0.2) for _ in range(2)]}, flush=True)
    for _ in range(2):
        workers.submit(nap, 60)
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
