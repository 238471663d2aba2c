"""A case made real: its objects brought through the mesh the way ``offmesh replay`` brings them."""

import base64
import json
from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_address
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

from tests.conformance.tables import Case, Edit, Expected, Manifest
from xds_server.app.replay import Replay
from xds_server.catalog.lookup import AddressLookup
from xds_server.catalog.resource import ADDRESS, AUTHORIZATION
from xds_server.debug.messages import proto_json
from xds_server.debug.rendering import Rendered
from xds_server.objects.kinds import KINDS
from xds_server.protobuf.workloadapi import workload_pb2 as api
from xds_server.protobuf.workloadapi.security.authorization_pb2 import Authorization
from xds_server.settings import MeshSettings
from xds_server.sources.placement.in_force import put_in_force
from xds_server.sources.placement.parse import parse_placement_map

SETTINGS: dict[str, Any] = {
    "cluster_id": "cluster0",
    "network": "testnetwork",
    "domain_suffix": "company.com",
}
"""The mesh of all cases, where they do not say otherwise."""


class World:
    """One case, step by step."""

    def __init__(self, case: Case) -> None:
        self.settings = MeshSettings(**SETTINGS | case.settings)
        self.replay = Replay(self.settings)
        if case.placement is not None:
            self.place(case.placement)

    def place(self, placement: Mapping[str, Any]) -> None:
        """Put a placement map in force."""
        text = json.dumps(placement).encode()
        put_in_force(parse_placement_map(text, "cluster-conf.yaml"), self.replay.registry)

    def apply(self, manifests: Iterable[Manifest]) -> None:
        text = json.dumps([_with_version(manifest) for manifest in manifests]).encode()
        contents = self.replay.take("case.json", text)
        assert not contents.problems, f"not usable: {[str(problem) for problem in contents.problems]}"
        assert not contents.ignored, f"not in use: {dict(contents.ignored)}"

    def delete(self, names: Iterable[str]) -> None:
        kinds = {name: kind for (_, name), kind in KINDS.items()}
        known = [(kinds[name], key) for name, _, key in (one.partition(" ") for one in names)]
        for kind, key in known:
            assert self.replay.registry.of(kind).get(key) is not None, f"{kind.__name__} {key} is not there"
        self.replay.remove(known)

    def edit(self, step: Edit) -> None:
        """Make an edit and check what it has changed."""
        before = self.replay.resources()
        if step.apply:
            self.apply(step.apply)
        if step.delete:
            self.delete(step.delete)
        if step.changed is not None:
            assert _changed(before, self.replay.resources()) == sorted(step.changed), "changed"

    def check(self, expected: Expected) -> None:
        """Compare all that is said with all that is there."""
        served = self.replay.resources()
        addresses, policies = served[ADDRESS], served[AUTHORIZATION]
        for name, whole in expected.whole.items():
            assert _address(addresses, name) == _canonical(_kind_of(addresses, name), whole), name
        for name, fields in expected.has.items():
            found, wanted = _address(addresses, name), _canonical_fields(_kind_of(addresses, name), fields)
            assert {key: found.get(key) for key in wanted} == wanted, name
        for name, whole in expected.policies.items():
            assert policies.get(name) == _canonical(Authorization, whole), name
        if expected.names is not None:
            assert sorted(addresses) == sorted(expected.names)
        if expected.policy_names is not None:
            assert sorted(policies) == sorted(expected.policy_names)
        assert [name for name in expected.absent if name in addresses or name in policies] == []
        self._check_lookups(expected)
        self._check_problems(expected.problems)

    def _check_lookups(self, expected: Expected) -> None:
        rows = {row.name: row for collection in self.replay.mesh.addresses for _, row in collection.items()}
        for name, aliases in expected.aliases.items():
            assert rows[name].aliases == aliases, name
        lookup = AddressLookup()
        lookup.apply(rows)
        for asked, names in expected.lookup.items():
            assert sorted(lookup.find(asked)) == sorted(names), asked

    def _check_problems(self, words: Collection[str]) -> None:
        """Each of the words must be told, and nothing that has none of them."""
        told = [f"{key}: {reason}" for _, key, reason in self.replay.mesh.problems()]
        for word in words:
            assert any(word in one for one in told), f"{word!r} is not in {told}"
        assert [one for one in told if not any(word in one for word in words)] == []


def _with_version(manifest: Manifest) -> Manifest:
    if "apiVersion" in manifest:
        return manifest
    versions = [version for version, kind in KINDS if kind == manifest["kind"]]
    assert versions, f"kind {manifest['kind']} is not in use"
    return {"apiVersion": versions[0], **manifest}


def _kind_of(addresses: Mapping[str, Any], name: str) -> type[Message]:
    assert name in addresses, f"{name} is not served; {sorted(addresses)} are"
    return api.Workload if "workload" in addresses[name] else api.Service


def _address(addresses: Mapping[str, Any], name: str) -> dict[str, Any]:
    _kind_of(addresses, name)
    (message,) = addresses[name].values()
    assert isinstance(message, dict)
    return message


def _changed(before: Rendered, after: Rendered) -> list[str]:
    return sorted(
        name
        for url, now in after.items()
        for name in now.keys() | before[url].keys()
        if now.get(name) != before[url].get(name)
    )


def _canonical(kind: type[Message], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as proto3 JSON has it: a misspelt field or value of an enum is an error."""
    return proto_json(ParseDict(_with_bytes(kind.DESCRIPTOR, written), kind()))


def _canonical_fields(kind: type[Message], written: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields as proto3 JSON has them; None for one that must be unset."""
    json_names = {field.name: field.json_name for field in kind.DESCRIPTOR.fields}
    keys = [json_names.get(key, key) for key in written]
    assert set(keys) <= set(json_names.values()), f"{kind.__name__} has not all of {keys}"
    return dict.fromkeys(keys) | _canonical(kind, written)


def _with_bytes(message: Any, value: Any) -> Any:
    """Encode what is written as the text of an address; ``message`` is the descriptor of the value."""
    if not isinstance(value, Mapping):
        return value
    fields = {name: field for field in message.fields for name in (field.name, field.json_name)}
    return {key: _member(fields.get(key), member) for key, member in value.items()}


def _member(field: FieldDescriptor | None, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_member(field, element) for element in value]
    if field is None or value is None:
        return value
    if field.type == FieldDescriptor.TYPE_BYTES:
        return base64.b64encode(ip_address(value).packed).decode()
    if field.message_type is None:
        return value
    if field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name["value"]
        return {key: _member(entry, member) for key, member in value.items()}
    return _with_bytes(field.message_type, value)
