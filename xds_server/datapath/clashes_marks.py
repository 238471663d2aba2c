"""
Marks of others that have bits of ours: in rules of iptables, and in rules of ``ip rule``.

Whoever changes a bit of ours sends packets astray; whoever asks for one takes our packets for his. To
ask that bits of ours are not there is no clash: that is how others keep out of our way.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from xds_server.datapath.observe_iptables import ForeignRule
from xds_server.datapath.observe_rules import SeenRule
from xds_server.datapath.program import Program

_ALL_BITS = 0xFFFFFFFF
_MARK = re.compile(r"(0x[0-9a-f]+|\d+)(?:/(0x[0-9a-f]+|\d+))?")
_ASKS = ("--mark",)
_PUTS = ("--set-xmark", "--set-mark", "--tproxy-mark")
_COPIES = ("--restore-mark", "--save-mark")
_MASKS = ("--nfmask", "--ctmask")


def clashes_of_marks(
    marking: Iterable[ForeignRule], rules: Iterable[SeenRule], desired: Program
) -> Iterator[str]:
    """Yield a sentence for each rule of others that has to do with bits of ours."""
    ours = bits_of(desired)
    if not ours:
        return
    for foreign in marking:
        options = dict(zip(foreign.words, (*foreign.words[1:], ""), strict=True))
        if changed := bits_changed(options) & ours:
            yield f"{foreign}: changes {changed:#x} of marks, of which ours are made"
        elif asked := _bits_asked(foreign.words) & ours:
            yield f"{foreign}: asks for {asked:#x} of marks, of which ours are made"
    for rule in rules:
        if rule.ours is None and rule.fwmark and rule.fwmark.value & rule.fwmark.mask & ours:
            yield f"rule {rule.text}: asks for bits of marks, of which ours are made"


def bits_of(program: Program) -> int:
    """Return all bits that a program puts on packets or asks for."""
    bits = 0
    for chain in program.chains:
        for rule in chain.rules:
            bits |= bits_changed(dict(zip(rule, (*rule[1:], ""), strict=True))) | _bits_asked(rule)
    for each in program.rules:
        bits |= each.fwmark.mask if each.fwmark else 0
    return bits


def bits_changed(options: Mapping[str, str]) -> int:
    """Return the bits that a rule changes, of the packet's mark or of the connection's."""
    bits = 0
    for option in _PUTS:
        if option in options:
            value, mask = _read(options[option])
            # A bit outside of the mask is flipped by ``--set-xmark``.
            bits |= value | mask
    if any(option in options for option in _COPIES):
        for each in _MASKS:
            bits |= _read(options[each])[0] if each in options else _ALL_BITS
    return bits


def _bits_asked(words: tuple[str, ...]) -> int:
    bits = 0
    for place, word in enumerate(words[:-1]):
        if word in _ASKS:
            value, mask = _read(words[place + 1])
            bits |= value & mask
    return bits


def _read(text: str) -> tuple[int, int]:
    """Return value and mask; a value alone is one of all bits, and what is no number has none: a comment."""
    found = _MARK.fullmatch(text)
    if found is None:
        return 0, 0
    return int(found[1], 0), int(found[2], 0) if found[2] else _ALL_BITS
