"""
The text of a node file, YAML or JSON, to the inputs and names of a node; or to what is wrong with it.

Keys are the names of the values' fields; ``names`` holds the names that are not the originals'.
Pure: no file is touched.
"""

from collections.abc import Callable
from dataclasses import fields
from ipaddress import IPv4Interface
from typing import Any, TypeVar

import yaml

from xds_server.datapath.inputs import MeshedPod, NodeInputs, PodRange, Role, WithoutZtunnel, Ztunnel
from xds_server.datapath.names import Names
from xds_server.datapath.node_fields import (
    ADDRESS,
    ADDRESS_V4,
    ADDRESS_V6,
    FLAG,
    INTERFACE_V4,
    MARK,
    NUMBER,
    RANGE,
    RANGE_V4,
    TEXT,
    TEXTS,
    Kind,
    Section,
    one_of,
)
from xds_server.datapath.program import Mark, TunnelType
from xds_server.exceptions import InputError, Problem

T = TypeVar("T")

_KEYS = (*(field.name for field in fields(NodeInputs)), "names")
_POLICY = one_of(WithoutZtunnel)
_NAME_KINDS: dict[type, Kind[Any]] = {
    Mark: MARK,
    TunnelType: one_of(TunnelType),
    IPv4Interface: INTERFACE_V4,
    int: NUMBER,
    str: TEXT,
}


def parse_inputs(text: str, where: str) -> NodeInputs:
    """
    Read a node's inputs; the gateway of its pods is the first address of their range unless stated.

    Raises:
        InputError: naming ``where``, the key, what was found and what was expected.

    """
    node = _node(text, where)
    pod_cidr = node.need("pod_cidr", RANGE_V4)
    return _checked(
        where,
        lambda: NodeInputs(
            role=node.need("role", one_of(Role)),
            address=node.need("address", ADDRESS_V4),
            address_v6=node.get("address_v6", ADDRESS_V6, None),
            peer=node.get("peer", ADDRESS_V4, None),
            peer_v6=node.get("peer_v6", ADDRESS_V6, None),
            uplink=node.need("uplink", TEXT),
            pod_cidr=pod_cidr,
            host_ip=node.get("host_ip", ADDRESS_V4, pod_cidr.network_address + 1),
            ztunnel=_ztunnel(node),
            when_ztunnel_is_gone=node.get("when_ztunnel_is_gone", _POLICY, WithoutZtunnel.PLAIN),
            pods=tuple(_pod(pod) for pod in node.sections("pods", ("address", "uid", "device"))),
            devices=node.get("devices", TEXTS, ()),
            ranges=tuple(_range(each) for each in node.sections("ranges", ("cidr", "node", "dpu"))),
            capture_dns=node.get("capture_dns", FLAG, False),
        ),
    )


def parse_names(text: str, where: str) -> Names:
    """
    Read the names that a node file states; the others are the originals'.

    Raises:
        InputError: as ``parse_inputs``.

    """
    originals = Names()
    defaults = {field.name: getattr(originals, field.name) for field in fields(Names)}
    stated = _node(text, where).section("names", tuple(defaults))
    if stated is None:
        return originals
    values = {name: stated.get(name, _NAME_KINDS[type(value)], value) for name, value in defaults.items()}
    return _checked(where, lambda: Names(**values))


def _node(text: str, where: str) -> Section:
    try:
        return Section(yaml.safe_load(text), where, "", _KEYS)
    # The others are what becomes of an impossible date, and of lists in lists without end.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or "it cannot be read"
        raise InputError(str(Problem(f"{where}{line}", "syntax", f"wrong ({why})", "YAML or JSON"))) from None


def _checked(where: str, make: Callable[[], T]) -> T:
    """Tell of which file a value speaks that refuses what it is made from."""
    try:
        return make()
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(f"{where}:") else f"{where}: {text}") from None


def _ztunnel(node: Section) -> Ztunnel | None:
    stated = node.section("ztunnel", ("address", "device"))
    if stated is None:
        return None
    return Ztunnel(address=stated.need("address", ADDRESS_V4), device=stated.get("device", TEXT, ""))


def _pod(pod: Section) -> MeshedPod:
    return MeshedPod(
        address=pod.need("address", ADDRESS),
        uid=pod.need("uid", TEXT),
        device=pod.get("device", TEXT, ""),
    )


def _range(each: Section) -> PodRange:
    return PodRange(
        cidr=each.need("cidr", RANGE),
        node=each.need("node", ADDRESS),
        dpu=each.get("dpu", ADDRESS, None),
    )
