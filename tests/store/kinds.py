"""
Every kind of collection over the same two sources, each with a plain function that says what it must hold.

``inputs`` are the rows a kind derives from, ``others`` what it fetches beside them. The plain
function knows no graph: it is what the collection is compared with.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from xds_server.exceptions import InputError
from xds_server.store.collection import Collection, Index, Source
from xds_server.store.derive import Expanded, Fetch, Mapped
from xds_server.store.distinct import Distinct
from xds_server.store.gated import Gated, Gates
from xds_server.store.graph import Graph
from xds_server.store.joined import Joined

Words = Mapping[str, str]
NOTHING: Words = MappingProxyType({})
UNUSABLE = "?"
CLOSES_ALL = "ab"


class World:
    """The two sources, with an index of the second."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.inputs: Source[str] = Source(self.graph, "inputs")
        self.others: Source[str] = Source(self.graph, "others")
        self.others_by_initial = Index(self.others, "initial", initial)

    def edit(self, inputs: Mapping[str, str | None], others: Mapping[str, str | None]) -> None:
        """Set rows, or delete those given as None, in one transaction."""
        with self.graph.transaction():
            for source, edits in ((self.inputs, inputs), (self.others, others)):
                for key, word in edits.items():
                    if word is None:
                        source.delete(key)
                    else:
                        source.set(key, word)


def initial(word: str) -> tuple[str, ...]:
    return (word[0],) if word else ()


def _usable(word: str) -> str:
    if UNUSABLE in word:
        raise InputError(f"{word!r} cannot be used")
    return word


def upper(_fetch: Fetch, _key: str, word: str) -> str | None:
    """The word in capitals; no row for the empty word."""
    return _usable(word).upper() or None


def expected_upper(words: Words, _others: Words = NOTHING) -> dict[str, str]:
    return {key: word.upper() for key, word in words.items() if word and UNUSABLE not in word}


def letters(_fetch: Fetch, _key: str, word: str) -> dict[str, str]:
    """A row for each letter."""
    return dict.fromkeys(_usable(word), word)


def expected_letters(words: Words, _others: Words = NOTHING) -> dict[str, str]:
    return {f"{key}/{letter}": word for key, word in words.items() if UNUSABLE not in word for letter in word}


def _joined(found: list[str]) -> str:
    return "+".join(found)


def _grouped(others: Words, group: str) -> list[str]:
    return [other for _, other in sorted(others.items()) if other[:1] == group]


@dataclass(frozen=True)
class Kind:
    """``make`` builds the collection in a world, ``expected`` says what it holds."""

    name: str
    make: Callable[[World], Collection[str]]
    expected: Callable[[Words, Words], dict[str, str]]
    depth: int = 1
    """How many functions one edited input reruns, where each input makes one row."""
    fetches: bool = False
    """Whether it reads ``others`` too."""

    def __str__(self) -> str:
        return self.name


def _expanded(
    world: World, name: str, source: Collection[str], function: Callable[[Fetch, str, str], Words]
) -> Collection[str]:
    return Expanded(world.graph, name, source, function)


def _mapped_by_key(world: World) -> Collection[str]:
    def read(fetch: Fetch, _key: str, word: str) -> str:
        other = fetch.one(world.others, word)
        return f"{word}:{other or '-'}"

    return Mapped(world.graph, "mapped by key", world.inputs, read)


def _mapped_by_group(world: World) -> Collection[str]:
    def read(fetch: Fetch, _key: str, word: str) -> str:
        return f"{word}:{_joined(fetch.group(world.others_by_initial, word[:1]))}"

    return Mapped(world.graph, "mapped by group", world.inputs, read)


def _mapped_by_what_it_found(world: World) -> Collection[str]:
    """What is read depends on what was read: the second fetch comes and goes."""

    def read(fetch: Fetch, _key: str, word: str) -> str:
        other = fetch.one(world.others, word)
        return f"{word}:{_joined(fetch.group(world.others_by_initial, other[:1])) if other else '-'}"

    return Mapped(world.graph, "mapped by what it found", world.inputs, read)


def _mapped_from_derived(world: World) -> Collection[str]:
    capitals = Mapped(world.graph, "capitals", world.others, upper)
    by_initial = Index(capitals, "initial", initial)

    def read(fetch: Fetch, _key: str, word: str) -> str:
        one = fetch.one(capitals, word) or "-"
        return f"{word}:{one}:{_joined(fetch.group(by_initial, word[:1].upper()))}"

    return Mapped(world.graph, "mapped from derived", world.inputs, read)


def _expanded_by_key(world: World) -> Collection[str]:
    def read(fetch: Fetch, _key: str, word: str) -> dict[str, str]:
        return {letter: fetch.one(world.others, letter) or "-" for letter in word}

    return _expanded(world, "expanded by key", world.inputs, read)


def _expanded_by_group(world: World) -> Collection[str]:
    def read(fetch: Fetch, _key: str, word: str) -> dict[str, str]:
        return dict.fromkeys(fetch.group(world.others_by_initial, word[:1]), word)

    return _expanded(world, "expanded by group", world.inputs, read)


def _chain(world: World) -> Collection[str]:
    first = Mapped(world.graph, "first", world.inputs, upper)
    return Mapped(world.graph, "second", first, lambda _fetch, _key, word: word[::-1])


def _chain_with_expansion(world: World) -> Collection[str]:
    first = Mapped(world.graph, "first", world.inputs, upper)
    second = _expanded(world, "second", first, letters)
    return Mapped(world.graph, "third", second, lambda _fetch, key, word: f"{word}@{key}")


def _joined_parts(world: World) -> Collection[str]:
    capitals = Mapped(world.graph, "capitals", world.inputs, upper)
    return Joined(world.graph, "joined", capitals, _expanded(world, "letters", world.inputs, letters))


def _gated(world: World) -> Collection[str]:
    """Each other closes the group of its name, and one closes all."""

    def is_open(group: str) -> bool:
        return CLOSES_ALL not in world.others.rows and group not in world.others.rows

    mode = Mapped(world.graph, "mode", world.others, lambda _fetch, key, _word: key == CLOSES_ALL or None)
    gates = Gates(is_open, world.others, mode)
    return Gated(world.graph, "gated", world.inputs, gates, lambda word: UNUSABLE not in word)


def _expected_gated(inputs: Words, others: Words) -> dict[str, str]:
    if CLOSES_ALL in others:
        return {}
    return {key: word for key, word in inputs.items() if key not in others and UNUSABLE not in word}


KINDS = [
    Kind("Source", lambda world: world.inputs, lambda inputs, _: dict(inputs), depth=0),
    Kind(
        "Joined",
        _joined_parts,
        lambda inputs, _: expected_upper(inputs) | expected_letters(inputs),
        depth=2,
    ),
    Kind("Gated", _gated, _expected_gated, depth=0),
    Kind(
        "Distinct",
        lambda world: Distinct(world.graph, "distinct", world.inputs, lambda word: word, str.upper),
        lambda inputs, _: {word: word.upper() for word in inputs.values()},
        depth=0,
    ),
    Kind("Mapped", lambda world: Mapped(world.graph, "mapped", world.inputs, upper), expected_upper),
    Kind(
        "Mapped that fetches by key",
        _mapped_by_key,
        lambda inputs, others: {key: f"{word}:{others.get(word) or '-'}" for key, word in inputs.items()},
        fetches=True,
    ),
    Kind(
        "Mapped that fetches by group",
        _mapped_by_group,
        lambda inputs, others: {
            key: f"{word}:{_joined(_grouped(others, word[:1]) if word else [])}"
            for key, word in inputs.items()
        },
        fetches=True,
    ),
    Kind(
        "Mapped that fetches what it found",
        _mapped_by_what_it_found,
        lambda inputs, others: {
            key: f"{word}:{_joined(_grouped(others, others[word][:1])) if others.get(word) else '-'}"
            for key, word in inputs.items()
        },
        fetches=True,
    ),
    Kind(
        "Mapped that fetches from a derived collection",
        _mapped_from_derived,
        lambda inputs, others: {
            key: ":".join(
                (
                    word,
                    expected_upper(others).get(word, "-"),
                    _joined(_grouped(expected_upper(others), word[:1].upper()) if word else []),
                )
            )
            for key, word in inputs.items()
        },
        fetches=True,
    ),
    Kind(
        "Expanded",
        lambda world: _expanded(world, "expanded", world.inputs, letters),
        expected_letters,
    ),
    Kind(
        "Expanded that fetches by key",
        _expanded_by_key,
        lambda inputs, others: {
            f"{key}/{letter}": others.get(letter) or "-" for key, word in inputs.items() for letter in word
        },
        fetches=True,
    ),
    Kind(
        "Expanded that fetches by group",
        _expanded_by_group,
        lambda inputs, others: {
            f"{key}/{other}": word
            for key, word in inputs.items()
            for other in (_grouped(others, word[:1]) if word else [])
        },
        fetches=True,
    ),
    Kind(
        "Mapped of Mapped",
        _chain,
        lambda inputs, _: {key: word[::-1] for key, word in expected_upper(inputs).items()},
        depth=2,
    ),
    Kind(
        "Mapped of Expanded of Mapped",
        _chain_with_expansion,
        lambda inputs, _: {
            key: f"{word}@{key}" for key, word in expected_letters(expected_upper(inputs)).items()
        },
        depth=3,
    ),
]
