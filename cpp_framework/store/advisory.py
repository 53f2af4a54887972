"""Leases that hosts see of each other: advisory locks of a PostgreSQL server, freed when the connection ends."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, func, select

from cpp_framework.store.leases import Lease


@dataclass
class _Session:
    """The connection that holds the locks of a process, and which they are."""

    connection: Connection
    held: set[int] = field(default_factory=set)

    def ask(self, function: ColumnElement[Any]) -> bool:
        with self.connection.begin():
            return bool(self.connection.execute(select(function)).scalar_one())


class AdvisoryLocks:
    """Locks on a server. One connection holds all those of a process, so that a big run does not exhaust the server.

    The server lets one connection take the same lock twice; that a process does not, the caller sees to.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._turn = threading.Lock()
        # By process: one that was forked must neither speak on its parent's connection nor close it.
        self._sessions: dict[int, _Session] = {}

    def take(self, number: int) -> bool:
        """Take a lock at once; False while another connection holds it."""
        with self._turn:
            session = self._sessions.get(os.getpid()) or self._connect()
            taken = self._ask(session, func.pg_try_advisory_lock(number))
            if taken:
                session.held.add(number)
            self._close_if_idle(session)
            return taken

    def give_back(self, number: int) -> None:
        """Give back a lock; nothing is to be done where the connection was lost, and the lock with it."""
        with self._turn:
            session = self._sessions.get(os.getpid())
            if session is None or number not in session.held:
                return
            self._ask(session, func.pg_advisory_unlock(number))
            session.held.remove(number)
            self._close_if_idle(session)

    def _connect(self) -> _Session:
        session = self._sessions[os.getpid()] = _Session(self._engine.connect())
        return session

    def _ask(self, session: _Session, function: ColumnElement[Any]) -> bool:
        try:
            return session.ask(function)
        except BaseException:  # whatever was held is lost with the connection
            session.held.clear()
            self._close_if_idle(session)
            raise

    def _close_if_idle(self, session: _Session) -> None:
        if not session.held:
            del self._sessions[os.getpid()]
            session.connection.close()


class PostgresLease(Lease):
    """A lock on a file, for the processes of this host, and one of the server, for the other hosts."""

    def __init__(self, on_this_host: Lease, give_back: Callable[[], None]) -> None:
        super().__init__(on_this_host._path, on_this_host._file)
        self._give_back = give_back

    def release(self) -> None:
        """Give the lease back. Doing it again changes nothing."""
        if self._file.closed:
            return
        try:
            self._give_back()
        finally:
            super().release()
