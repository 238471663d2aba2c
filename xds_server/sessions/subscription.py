"""What one stream wants of one type, and how far it has been told."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from xds_server.sessions.acknowledgement import Acknowledgements

WILDCARD = "*"


@dataclass(slots=True)
class Subscription:
    """
    A wildcard follows the whole type by ``cursor``; ``names`` are followed one by one.

    ``names`` holds what was asked for, aliases too, and on an on-demand stream what it was given.
    ``asked`` are names that get an answer in the next response whatever the client holds;
    ``held`` are the versions a returning client has, until the first response has used them;
    ``given`` is by which names an on-demand stream's resources are found, as they were sent.
    ``later`` are policies whose change is owed after the addresses of the stream.
    """

    type_url: str
    wildcard: bool = False
    cursor: int = 0
    names: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    held: dict[str, str] = field(default_factory=dict)
    given: dict[str, tuple[str, ...]] = field(default_factory=dict)
    later: frozenset[str] = frozenset()
    owes_everything: bool = False
    owes_answer: bool = False
    individual: int = 0
    acknowledgements: Acknowledgements = field(default_factory=Acknowledgements)

    def next_nonce(self, position: int) -> str:
        """Make a nonce for a response to this client alone; shared responses bring their own."""
        self.individual += 1
        return f"{position:x}.{self.individual}"

    def put_off(self, later: frozenset[str], sent: frozenset[str]) -> None:
        """Owe ``later`` after the addresses, beside what was put off before and is not ``sent`` by now."""
        self.later = (self.later - sent) | later if self.later else later

    def receive_first(
        self, subscribe: Iterable[str], unsubscribe: Iterable[str], held: dict[str, str]
    ) -> None:
        """Take the first request of the type, which alone may mean a wildcard by saying nothing."""
        asked = set(subscribe)
        left = set(unsubscribe)
        self.wildcard = not asked or WILDCARD in (asked | held.keys()) - left
        self.asked = asked - left - {WILDCARD}
        self.held = {name: version for name, version in held.items() if name != WILDCARD}
        self.names = set(self.asked)
        if not self.wildcard:
            followed = held.keys() - left - {WILDCARD}
            self.names |= followed
            # ztunnel lists a name it still waits for with an empty version.
            self.asked |= {name for name in followed if not held[name]}
        self.owes_everything = self.wildcard
        self.owes_answer = True

    def receive_change(self, subscribe: Iterable[str], unsubscribe: Iterable[str]) -> None:
        """Take a later request; one that changes nothing is owed nothing."""
        asked, left = set(subscribe), set(unsubscribe)
        if WILDCARD in asked and WILDCARD not in left and not self.wildcard:
            self.wildcard = self.owes_everything = True
        leaves = self.wildcard and WILDCARD in left - asked
        if leaves:
            self.wildcard = False
        asked -= left | {WILDCARD}
        left -= {WILDCARD}
        self.names -= left
        self.names |= asked
        self.asked -= left
        # Under a wildcard a name that is left is still followed: the client is told what it is now.
        self.asked |= asked | left if self.wildcard else asked
        if leaves:
            # What came as a part of everything did not come for a name.
            self.asked |= self.names
        self.owes_answer |= bool(self.asked) or self.owes_everything
