"""A key with the set of its members, compact where most keys have one member."""

from collections.abc import Collection, Iterator


class MultiMap:
    """
    ``key -> members``, both text. A single member is held as itself, not as a set:
    most index keys of a mesh (an address, a pod's name) have just one.
    """

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: dict[str, str | set[str]] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def add(self, key: str, member: str) -> None:
        held = self._members.setdefault(key, member)
        if isinstance(held, set):
            held.add(member)
        elif held != member:
            self._members[key] = {held, member}

    def discard(self, key: str, member: str) -> None:
        held = self._members.get(key)
        if isinstance(held, set):
            held.discard(member)
            if not held:
                del self._members[key]
        elif held == member:
            del self._members[key]

    def get(self, key: str) -> Collection[str]:
        """Return the members of ``key``; do not keep the answer across a change."""
        held = self._members.get(key)
        if held is None:
            return ()
        return held if isinstance(held, set) else (held,)
