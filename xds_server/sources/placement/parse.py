"""
The text of ``cluster-conf.yaml`` to a value, or to everything that is wrong with it.

Pure: no file is touched. A map is used whole or not at all, because half a map would send the
pods of the other half to the wrong ztunnel.
"""

from yaml.events import Event, MappingStartEvent, ScalarEvent, SequenceStartEvent

from xds_server.objects.cluster_conf import Pair, PlacementMap, Single
from xds_server.sources.placement.findings import Findings, PlacementError
from xds_server.sources.placement.node_fields import ADDRESS, NAME, canonical_address, is_node_name
from xds_server.sources.placement.node_roles import CPU, DPU, SINGLE, NodeRoles, Row
from xds_server.sources.placement.yaml_document import read_document
from xds_server.sources.placement.yaml_shapes import NULLS, Shapes, Texts, found, is_empty, line_of

__all__ = ["PlacementError", "parse_placement_map"]

_PAIR_KEYS = (CPU.ip_key, DPU.ip_key, CPU.name_key, DPU.name_key)
_SINGLE_KEYS = (SINGLE.ip_key, SINGLE.name_key)


def parse_placement_map(text: bytes, where: str) -> PlacementMap:
    """
    Read a placement map.

    Raises:
        PlacementError: with all that is wrong, each problem at ``where:line``.

    """
    findings = Findings(where)
    reader = _Reader(findings)
    read_document(text, findings, reader.read)
    if findings:
        raise PlacementError(findings.problems())
    return PlacementMap(tuple(reader.pairs), tuple(reader.singles))


class _Reader:
    """Reads the map once, from top to bottom, and keeps the entries that are right."""

    def __init__(self, findings: Findings) -> None:
        self.pairs: list[Pair] = []
        self.singles: list[Single] = []
        self._findings = findings
        self._roles = NodeRoles()
        self._texts: Texts = {}
        self._line = 0

    def read(self, shapes: Shapes) -> None:
        start = shapes.document()
        stated = 0
        if isinstance(start, MappingStartEvent):
            for section, value in shapes.keys(("pairs", "singles")):
                stated += 1
                self._section(section, value, shapes)
        elif start is not None and not (isinstance(start, ScalarEvent) and is_empty(start)):
            shapes.refuse(start, "placement map", "a mapping with pairs: or singles:")
        if not stated and not self._findings:
            self._findings.add(1, "placement map", "empty", "pairs: or singles:")
        if start is not None:
            shapes.end()

    def _section(self, section: str, value: Event, shapes: Shapes) -> None:
        if not isinstance(value, SequenceStartEvent):
            shapes.refuse(value, section, "a list ([] for none)")
        elif section == "pairs":
            self._read_pairs(shapes)
        else:
            self._read_singles(shapes)

    def _read_pairs(self, shapes: Shapes) -> None:
        for item in shapes.items():
            if isinstance(item, MappingStartEvent):
                self._texts, self._line = shapes.texts(_PAIR_KEYS), line_of(item)
                self._add_pair()
            else:
                shapes.refuse(item, "pairs", f"a mapping with {CPU.ip_key} and {DPU.ip_key}")

    def _read_singles(self, shapes: Shapes) -> None:
        for item in shapes.items():
            if isinstance(item, MappingStartEvent):
                self._texts, self._line = shapes.texts(_SINGLE_KEYS), line_of(item)
                self._add_single()
            elif isinstance(item, ScalarEvent):
                self._texts, self._line = {SINGLE.ip_key: item}, line_of(item)
                self._add_single()
            else:
                shapes.refuse(item, "singles", f"an address, or a mapping with {SINGLE.ip_key}")

    def _add_pair(self) -> None:
        pair = Pair(
            self._address(CPU.ip_key),
            self._address(DPU.ip_key),
            self._name(CPU.name_key),
            self._name(DPU.name_key),
            self._line,
        )
        self.pairs.append(pair)
        if not self._roles.agrees(pair):
            self._refuse_contradictions(pair)

    def _add_single(self) -> None:
        single = Single(self._address(SINGLE.ip_key), self._name(SINGLE.name_key), self._line)
        self.singles.append(single)
        self._refuse_contradictions(single)

    def _refuse_contradictions(self, row: Row) -> None:
        for key, expected in self._roles.contradictions(row):
            self._refuse(key, expected)

    def _address(self, key: str) -> str:
        """Return the address under ``key`` in canonical text; empty if there is none to use."""
        value = self._texts.get(key)
        if value is None:
            if key not in self._texts:
                self._findings.add(self._line, key, "missing", ADDRESS)
            return ""
        try:
            return canonical_address(value.value)
        except ValueError as error:
            self._refuse(key, str(error))
            return ""

    def _name(self, key: str) -> str | None:
        value = self._texts.get(key)
        if value is None:
            return None
        if is_node_name(value.value) and (value.value not in NULLS or not is_empty(value)):
            return value.value
        self._refuse(key, f"a node name, or no {key}" if is_empty(value) else NAME)
        return None

    def _refuse(self, key: str, expected: str) -> None:
        value = self._texts[key]
        if value is not None:
            self._findings.add(line_of(value), key, found(value), expected)
