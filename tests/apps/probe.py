"""What a test and an application tell each other while a request runs.

An application notes what it sees, and waits at gates that the test opens. Whoever waits does so under a deadline, so that a test which
fails also ends.
"""

import threading

DEADLINE = 20.0


class Probe:
    def __init__(self):
        self._changed = threading.Condition()
        self._notes = []
        self._open = set()
        self._all_open = False

    def note(self, name, value=None):
        """Keeps a value under a name; several under one name are kept in order."""
        with self._changed:
            self._notes.append((name, value))
            self._changed.notify_all()

    def notes(self, name):
        with self._changed:
            return [value for other, value in self._notes if other == name]

    def first(self, name):
        """The first value under this name; waits for it."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._has(name), DEADLINE):
                raise TimeoutError(f"nothing was noted as {name!r} in {DEADLINE} s, only {[other for other, _ in self._notes]}")
        return self.notes(name)[0]

    def open(self, gate):
        with self._changed:
            self._open.add(gate)
            self._changed.notify_all()

    def open_all(self):
        """The test is over: nobody waits any longer."""
        with self._changed:
            self._all_open = True
            self._changed.notify_all()

    def wait(self, gate):
        """Waits until the test opens the gate."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._all_open or gate in self._open, DEADLINE):
                raise TimeoutError(f"gate {gate!r} was not opened in {DEADLINE} s")

    def _has(self, name):
        return any(other == name for other, _ in self._notes)
