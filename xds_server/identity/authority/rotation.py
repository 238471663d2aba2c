"""
When a new generation signs and how long an old root is trusted. Pure: values and times in, values out.

Theory
1. A client gets the trust bundle only with a certificate, so its bundle is as old as its leaf, which
   lives no longer than ``overlap``. So a root may sign only when every bundle up to ``overlap`` old
   holds it, and it must stay in the bundle for ``overlap`` after the last leaf under it.
2. Hence three phases of ``overlap`` and more: announce (the old signs, both are trusted), switch (the
   new signs, both are trusted), drop (the old root's ``until`` has come).
3. What counts is since when a root has been trusted without a break. A generation of which every root
   has been trusted for ``overlap`` (a renewed intermediate, a root that was announced before) signs at
   once. One with the issuer and chain that sign already only changes roots, and so acts at once too.
4. Roots that no generation names any more stay for ``overlap``, whoever took them away: a leaf
   under them may have been signed a moment ago.
5. With nothing to sign with (the start, an expired issuer) the new generation acts at once. At the
   start no client holds an older bundle, so its roots count as trusted since ever. After an expired
   issuer, leaves of still older issuers may fail: there was no other way.
6. An offer while another waits takes its place, and waits for those of its roots that are not yet
   known everywhere; a root that both name, or that is still trusted, keeps its time. An offer of
   what signs already takes the waiting one back. The guarantee holds throughout, whatever is offered.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from xds_server.identity.authority.material import Generation

_ALWAYS = 0.0


@dataclass(frozen=True, slots=True)
class TrustedRoot:
    """A root in the trust bundle. Times are seconds since the epoch."""

    pem: str
    since: float
    """From when on every bundle has held it."""
    until: float | None = None
    """When it is dropped; None while a generation names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Which generation signs, which will, and which roots are trusted."""

    current: Generation
    next: Generation | None = None
    switch_at: float = 0.0
    """When ``next`` begins to sign; without meaning if there is none."""
    roots: tuple[TrustedRoot, ...]

    @property
    def retired(self) -> tuple[TrustedRoot, ...]:
        """The roots that no generation names any more."""
        return tuple(root for root in self.roots if root.until is not None)

    @property
    def trust_bundle(self) -> str:
        """All trusted roots in PEM, in an order that no phase changes."""
        return "".join(sorted(root.pem for root in self.roots))

    @property
    def changes_at(self) -> float | None:
        """When ``advance`` next has something to do, if nothing is offered."""
        times = [root.until for root in self.roots if root.until is not None]
        if self.next:
            times += [self.switch_at, self.current.not_after, self.next.not_after]
        return min(times, default=None)


def offer(rotation: Rotation | None, generation: Generation, now: float, overlap: float) -> Rotation:
    """Take in the generation that is to sign from now on, as soon as that is safe."""
    if rotation is None:
        roots = tuple(TrustedRoot(pem, since=_ALWAYS) for pem in generation.roots)
        return Rotation(current=generation, roots=roots)
    rotation = advance(rotation, now, overlap)
    if generation == (rotation.next or rotation.current):
        return rotation
    waiting = replace(rotation, next=generation, roots=_known(rotation.roots, generation.roots, now))
    ready_at = max(root.since for root in waiting.roots if root.pem in generation.roots) + overlap
    if _same_signer(generation, rotation.current) or ready_at <= now:
        return _act(waiting, generation, now, overlap)
    return advance(_settle(replace(waiting, switch_at=ready_at), now, overlap), now, overlap)


def advance(rotation: Rotation, now: float, overlap: float) -> Rotation:
    """Do what is due by ``now``: switch to the next generation, drop roots."""
    waiting = rotation.next
    if waiting and waiting.not_after <= now:
        rotation = _settle(replace(rotation, next=None, switch_at=0.0), now, overlap)
    elif waiting and (rotation.switch_at <= now or rotation.current.not_after <= now):
        rotation = _act(rotation, waiting, now, overlap)
    kept = tuple(root for root in rotation.roots if root.until is None or root.until > now)
    return rotation if kept == rotation.roots else replace(rotation, roots=kept)


def _act(rotation: Rotation, generation: Generation, now: float, overlap: float) -> Rotation:
    acting = replace(rotation, current=generation, next=None, switch_at=0.0)
    return _settle(acting, now, overlap)


def _settle(rotation: Rotation, now: float, overlap: float) -> Rotation:
    """Give every root that is no longer named its end, and take it from those that are named again."""
    named = {*rotation.current.roots, *(rotation.next.roots if rotation.next else ())}

    def settled(root: TrustedRoot) -> TrustedRoot:
        if root.pem in named:
            return replace(root, until=None)
        return root if root.until is not None else replace(root, until=now + overlap)

    return replace(rotation, roots=tuple(map(settled, rotation.roots)))


def _known(roots: tuple[TrustedRoot, ...], wanted: Iterable[str], now: float) -> tuple[TrustedRoot, ...]:
    """Add the wanted roots that are not yet trusted, from now on."""
    held = {root.pem for root in roots}
    return roots + tuple(TrustedRoot(pem, since=now) for pem in wanted if pem not in held)


def _same_signer(one: Generation, other: Generation) -> bool:
    return (one.digest, one.chain) == (other.digest, other.chain)
