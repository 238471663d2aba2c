"""All combinations of modes of mutual TLS: what is served, and what a ztunnel makes of it."""

from collections.abc import Iterator
from itertools import product

import pytest

from tests.helpers.istiod_peer_authentications import OPEN, Mode, Setting, named, published
from tests.helpers.policies import PoliciesUnderTest, groups
from tests.helpers.policy_texts import mode, peer, selecting
from tests.helpers.ztunnel_policies import Connection, Identity, allows, applying

STATIC = "istio-system/istio_converted_static_strict"
MODES = ("UNSET", "PERMISSIVE", "DISABLE", "STRICT")
PORTS = (8080, 9090)


def settings(root: Mode) -> Iterator[tuple[str, Setting]]:
    """One namespace for each combination below a mode of the root namespace."""
    optional = (None, *MODES)
    for number, (namespace, workload, *modes) in enumerate(product(optional, MODES, optional, optional)):
        assert workload is not None
        ports = {port: value for port, value in zip(PORTS, modes, strict=True) if value}
        yield f"ns-{number}", Setting(root, namespace, workload, ports)


def mesh_of(root: Mode) -> PoliciesUnderTest:
    texts = [peer("m", mode(root), "istio-system")] if root else []
    for name, at in settings(root):
        ports = ", ".join(f"{port}: {{mode: {value}}}" for port, value in at.ports.items())
        texts.append(peer("selector", selecting(at.workload, f"{{{ports}}}"), name))
        if at.namespace:
            texts.append(peer("n", mode(at.namespace), name))
    return PoliciesUnderTest("\n---\n".join(texts))


def is_named_but_not_served_by_istiod(at: Setting) -> bool:
    """Oddities 4 and 6 of facts wds, section 9."""
    inherited = at.root == "STRICT" and at.namespace in (None, "UNSET")
    if at.workload in OPEN:
        return inherited and bool(at.port_modes("STRICT"))
    return at.workload == "UNSET" and inherited and at.namespace == "UNSET" and bool(at.port_modes(*OPEN))


@pytest.mark.parametrize("root", [None, *MODES])
def test_the_wire_is_istiods_but_where_it_names_what_it_does_not_serve(root: Mode) -> None:
    policies = mesh_of(root)
    served = policies.served()
    differing = []
    for name, at in settings(root):
        converted = f"{name}/converted_peer_authentication_selector"
        assert policies.names_for(name, {"app": "a"}) == named(at, STATIC, converted), at
        message = served.get(converted)
        expected = published(at)
        ours = None if message is None else [[clause[0] for clause in group] for group in groups(message)]
        if ours != expected:
            differing.append(at)
            assert expected is None, at
    assert differing == [at for _, at in settings(root) if is_named_but_not_served_by_istiod(at)]
    assert bool(differing) is (root == "STRICT")


def strict_ports(at: Setting) -> set[int]:
    """The ports that the modes mean to be strict, those of no mode included."""
    inherited = at.root if at.namespace in (None, "UNSET") else at.namespace
    by_default = at.workload if at.workload != "UNSET" else inherited
    return {
        port
        for port in (*PORTS, 7070)
        if (own if (own := at.ports.get(port, "UNSET")) != "UNSET" else by_default) == "STRICT"
    }


def has_no_exception(at: Setting) -> bool:
    """Oddity 5: under strict parents DISABLE alone leaves a port strict."""
    return 7070 in strict_ports(at) and at.workload == "UNSET" and not at.port_modes("PERMISSIVE")


@pytest.mark.parametrize("root", [None, *MODES])
def test_a_ztunnel_asks_for_mutual_tls_on_exactly_the_strict_ports(root: Mode) -> None:
    policies = mesh_of(root)
    served = policies.served()
    for name, at in settings(root):
        names = policies.names_for(name, {"app": "a"})
        assert set(names) <= served.keys(), at
        in_force = applying(served, name, names)
        plain = {port for port in (*PORTS, 7070) if not allows(in_force, Connection(port=port))}
        assert plain == ({*PORTS, 7070} if has_no_exception(at) else strict_ports(at)), at
        assert all(allows(in_force, Connection(port=port, identity=Identity("a", "b"))) for port in PORTS)
