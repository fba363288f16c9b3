"""What may be there after what was asked and answered.

A write that nobody answered has happened, or will, or never will. So there is more than one world that
may be the true one. Each is followed until an answer or a read tells it from the others, and if none is
left, something was lost, or happened twice.

- `History` is of documents that one client alone writes, whatever it asks.
- `Tally` is of one number that many clients increment, each on the condition that it is as they think.

Both are told `sent` before a write leaves, each time it is repeated under its key; then `answered`, or
`declined` if the server says that it did not happen, or nothing if nobody says anything.
"""

import threading
from dataclasses import dataclass, field

from documents import REFUSED, applied

WORLDS_MAX = 1000


@dataclass(frozen=True, eq=False)
class Write:
    """A write, maybe under an idempotency key. A count is one of the client's, up to a value."""

    kind: str
    body: dict
    key: str | None = None
    client: int = 0
    value: int | None = None


@dataclass
class World:
    """One way that things may stand."""

    documents: dict
    types: dict
    # What was sent, has not happened here, and still may.
    adrift: list = field(default_factory=list)
    # What did happen though nobody answered, with the outcome that a repeat would be told.
    happened: list = field(default_factory=list)

    def after(self, at):
        """The same when what is adrift at this place has happened. If that moved the head on, what was
        sent before it can land no more."""
        write = self.adrift[at]
        documents, types, outcome = applied(write.body, self.documents, self.types)
        moved = outcome != REFUSED and ("schema" in write.body or any(outcome.values()))
        adrift = self.adrift[at + 1:] if moved else [*self.adrift[:at], *self.adrift[at + 1:]]
        return World(documents, types, adrift, [*self.happened, (write, outcome)])

    def outcome(self, write):
        return next((outcome for each, outcome in self.happened if each is write), None)


class History:
    """All worlds that agree with what one client was told about the documents it alone writes."""

    def __init__(self, documents, types):
        self.worlds = [World(documents, types)]

    def sent(self, write):
        for world in self.worlds:
            if write not in world.adrift and world.outcome(write) is None:
                world.adrift.append(write)

    def declined(self, write):
        """It did not happen. Only for what has no key, since an earlier try may have happened."""
        assert write.key is None
        for world in self.worlds:
            world.adrift.remove(write)

    def answered(self, write, outcome):
        before = self.unfolded()
        left = [world for world in before if world.outcome(write) == outcome]
        if not left:
            could = [world.outcome(write) for world in before]
            raise AssertionError(f"{write}\nwas answered {outcome}\nand could be {could}")
        for world in left:
            world.happened = [pair for pair in world.happened if pair[0] is not write]
        self.keep(left)

    def moved_on(self):
        """Another has written: what is adrift has landed before that, or never will."""
        worlds = self.unfolded()
        for world in worlds:
            world.adrift = []
        self.keep(worlds)

    def read(self, documents):
        before = self.unfolded()
        left = [world for world in before if world.documents == documents]
        if not left:
            raise AssertionError(f"a read saw {documents}\nand could see\n" + "\nor ".join(
                str(world.documents) for world in before))
        self.keep(left)

    def unfolded(self):
        """Every world, and what it is after any of what is adrift in it, in the order it was sent."""
        unfolded = list(self.worlds)
        for world in unfolded:  # It grows meanwhile.
            later = [world.after(at) for at in range(len(world.adrift))]
            unfolded += [each for each in later if each not in unfolded]
            assert len(unfolded) < WORLDS_MAX, f"too much is in doubt: {world.adrift}"
        return unfolded

    def keep(self, worlds):
        """These, each once. Without a key nobody asks for an outcome again."""
        self.worlds = []
        for world in worlds:
            world.happened = [pair for pair in world.happened if pair[0].key is not None]
            if world not in self.worlds:
                self.worlds.append(world)


class Tally:
    """One number that clients increment: who can have made it what.

    A client that sends a value knows that the one before it was reached. So each value up to the number
    is some one's increment, and nobody else's.
    """

    def __init__(self):
        self.lock = threading.Lock()
        self.sent_values = {}  # value -> writes that would make it, unless they were told that they did not
        self.owners = {0: 0}  # value -> the client that was told that it made it
        self.reached = 0  # The number is known to have come this far.

    def sent(self, write):
        with self.lock:
            writes = self.sent_values.setdefault(write.value, [])
            if write not in writes:
                writes.append(write)

    def declined(self, write):
        with self.lock:
            self.sent_values[write.value].remove(write)

    def answered(self, write, outcome):
        made = sum(outcome.values())
        with self.lock:
            others = [each for each in self.sent_values[write.value] if each is not write]
            if made:
                assert made == 1 and write.value not in self.owners, (
                    f"{write} made a value that {self.owners.get(write.value)} had made already")
                self.owners[write.value] = write.client
            else:
                self.sent_values[write.value] = others
                assert others, f"{write} found another value, and nobody else can have changed it"
            self.reached = max(self.reached, write.value)

    def certain(self):
        """What a read that begins now must see at least."""
        with self.lock:
            return self.reached

    def read(self, value, by, least):
        """A read that began when `least` was certain saw that client `by` had made `value`."""
        with self.lock:
            assert value >= least, f"increments are lost: {value} was read after {least} was certain"
            for each in range(1, value + 1):
                assert self.may_have_made(each), f"{value} was read, and nobody made {each}"
            assert by in self.may_have_made(value), f"{value} was made by {by}, not {self.may_have_made(value)}"
            self.reached = max(self.reached, value)

    def may_have_made(self, value):
        if value in self.owners:
            return [self.owners[value]]
        return [write.client for write in self.sent_values.get(value, [])]
