"""Random policies, from few names so that they meet, and the connections they are about."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from tests.helpers.ztunnel_policies import Connection, Identity

Rules = list[dict[str, Any]]

PRINCIPALS = [f"cluster.local/ns/{ns}/sa/{account}" for ns in ("ns1", "ns2") for account in "ab"]
UNREADABLE = ["", "?"]
VALUES: Mapping[str, list[str]] = {
    "principals": [*PRINCIPALS, "*", "*/sa/a", "cluster.local/ns/ns1/*"],
    "namespaces": ["ns1", "ns2", "ns*", "*2", "*"],
    "ipBlocks": ["10.0.0.1", "10.0.0.0/24", "0.0.0.0/0", "2001:db8::/32"],
    "serviceAccounts": ["a", "ns2/a", "ns1/b"],
    "ports": ["80", "81"],
}
# Of principals and namespaces any text but the empty one can be read.
FAULTY = {
    name: [*values, *UNREADABLE[: 1 if name in ("principals", "namespaces") else 2]]
    for name, values in VALUES.items()
}
KEYS = {
    "source.ip": "ipBlocks",
    "source.namespace": "namespaces",
    "source.principal": "principals",
    "destination.ip": "ipBlocks",
    "destination.port": "ports",
}
REQUEST_KEY = "request.headers[x]"
REQUEST_SOURCE = ("requestPrincipals", "notRequestPrincipals", "remoteIpBlocks")
REQUEST_OPERATION = ("methods", "notPaths", "hosts")


def _negated(name: str) -> str:
    return f"not{name[0].upper()}{name[1:]}"


def rules(values: Mapping[str, list[str]]) -> st.SearchStrategy[Rules]:
    """Rules with every kind of condition, whose values are among ``values``."""

    def lists(name: str) -> st.SearchStrategy[list[str]]:
        return st.lists(st.sampled_from(values[name]), max_size=2)

    def entries(names: tuple[str, ...], of_requests: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
        own = {name: lists(name) for name in names} | {_negated(name): lists(name) for name in names}
        requests = {name: st.lists(st.just("a"), max_size=1) for name in of_requests}
        return st.fixed_dictionaries({}, optional={**own, **requests})

    sources = entries(("principals", "namespaces", "ipBlocks", "serviceAccounts"), REQUEST_SOURCE)
    operations = entries(("ports",), REQUEST_OPERATION)
    conditions = st.sampled_from(sorted(KEYS)).flatmap(
        lambda key: st.fixed_dictionaries(
            {"key": st.just(key)}, optional={"values": lists(KEYS[key]), "notValues": lists(KEYS[key])}
        )
    )
    of_requests = st.just({"key": REQUEST_KEY, "values": ["a"]})
    rule = st.fixed_dictionaries(
        {},
        optional={
            "from": st.lists(st.fixed_dictionaries({"source": sources}), max_size=2),
            "to": st.lists(st.fixed_dictionaries({"operation": operations}), max_size=2),
            "when": st.lists(conditions | of_requests, max_size=2),
        },
    )
    return st.lists(rule, max_size=2)


CONNECTIONS = st.builds(
    Connection,
    source_ip=st.sampled_from(["10.0.0.1", "10.1.0.1", "2001:db8::1"]),
    identity=st.none() | st.builds(Identity, st.sampled_from(["ns1", "ns2"]), st.sampled_from(["a", "b"])),
    destination_ip=st.sampled_from(["10.0.0.1", "10.1.0.1"]),
    port=st.sampled_from([80, 81, 8080]),
)
_GUESSED = [*VALUES, *KEYS, REQUEST_KEY, "requestPrincipals", "remoteIpBlocks", "methods", "paths", "hosts"]
GUESSES = st.frozensets(st.tuples(st.sampled_from(_GUESSED), st.sampled_from([*UNREADABLE, "a"]))).map(
    lambda held: lambda attribute, value: (attribute, value) in held
)

_SELECTORS = st.sampled_from([{"matchLabels": {"app": "a"}}, {"matchLabels": {"app": "b"}}, {}, None])
POLICIES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"rules": rules(VALUES)},
    optional={"action": st.sampled_from(["ALLOW", "DENY"]), "selector": _SELECTORS},
)
_MTLS = st.fixed_dictionaries(
    {}, optional={"mode": st.sampled_from(["UNSET", "PERMISSIVE", "DISABLE", "STRICT"])}
)
PEERS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "selector": _SELECTORS,
        "mtls": _MTLS,
        "portLevelMtls": st.dictionaries(st.sampled_from(["80", "81"]), _MTLS, max_size=2),
    },
)
_FIELDS = (
    *("from", "to", "when", "source", "operation", "key", "values", "ports", "notPorts", "principals"),
    *(
        "methods",
        "ipBlocks",
        "selector",
        "matchLabels",
        "action",
        "rules",
        "mtls",
        "mode",
        "portLevelMtls",
        "80",
    ),
)
_ATOMS = st.none() | st.booleans() | st.integers(-1, 70_000) | st.floats(allow_nan=False)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    _ATOMS | st.text("ab*/:.1?", max_size=4) | st.sampled_from(["ALLOW", "DENY", "STRICT", "source.ip"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def spoiled(draw: st.DrawFn, spec: Mapping[str, Any]) -> Any:
    """
    Spoil a spec in one place: a field is misspelt, or a value is of a type it cannot have.

    A label that is misspelt is another label, which is no fault that could be seen.
    """
    places = list(_places(spec, ()))
    *path, last = draw(st.sampled_from(places))
    copy = _copied(spec)
    holder = copy
    for step in path:
        holder = holder[step]
    if isinstance(last, str) and "matchLabels" not in path and draw(st.booleans()):
        holder[f"{last}x"] = holder.pop(last)
    else:
        holder[last] = 7
    return copy


def _places(value: Any, path: tuple[Any, ...]) -> Any:
    """Paths of all that is in a value, but what is not there: to spoil nothing changes nothing."""
    inside = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    for step, inner in inside:
        if inner is not None and inner != []:
            yield (*path, step)
        yield from _places(inner, (*path, step))


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value
