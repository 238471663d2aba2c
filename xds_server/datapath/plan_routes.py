"""
The part of a plan that is about routes.

A pod's route is one to an address that is in a set: it comes and goes with the pod. While a link is made
anew its routes are blackholes: what was to go through it is held up, and is not let out in plain.
"""

from collections.abc import Collection, Iterator

from xds_server.datapath.plan_sets import joining, leaving
from xds_server.datapath.planned import PlannedStep
from xds_server.datapath.program import Address, Program, Route
from xds_server.datapath.steps import DeleteRoute, ReplaceRoute


class RouteSteps:
    """The steps for routes; knows what the routes will be once the steps given so far are done."""

    def __init__(self, held: Program, desired: Program) -> None:
        self._joining, self._leaving = joining(held, desired), leaving(held, desired)
        self._now = {route.key: route for route in held.routes}
        self._wanted = {route.key: route for route in desired.routes}
        # What is right already is the same object in both, and told from the rest at a glance.
        self._now |= {key: route for key, route in self._wanted.items() if self._now.get(key) == route}

    def leave(self) -> Iterator[PlannedStep]:
        """Delete those of pods that leave."""
        yield from self._delete(route for route in self._unwanted() if _leads_to(route, self._leaving))

    def hold(self, devices: Collection[str]) -> Iterator[PlannedStep]:
        """Turn those through links that will be deleted into blackholes."""
        for route in list(self._now.values()):
            if route.device in devices:
                held_up = Route(
                    table=route.table, destination=route.destination, blackhole=True, family=route.family
                )
                yield self._replace(held_up)

    def settle(self) -> Iterator[PlannedStep]:
        """Make all as they shall be, but for those of pods that join."""
        # A gateway is found by a route of scope link, so these come first.
        for route in sorted(self._wanted.values(), key=lambda each: not each.scope_link):
            if self._now.get(route.key) is not route and not _leads_to(route, self._joining):
                yield self._replace(route)

    def join(self) -> Iterator[PlannedStep]:
        """Make those of pods that join."""
        for route in self._wanted.values():
            if self._now.get(route.key) is not route:
                yield self._replace(route)

    def drop(self) -> Iterator[PlannedStep]:
        """Delete all that are not wanted."""
        yield from self._delete(self._unwanted())

    def _unwanted(self) -> Iterator[Route]:
        return (route for key, route in list(self._now.items()) if key not in self._wanted)

    def _replace(self, route: Route) -> PlannedStep:
        before = self._now.get(route.key)
        self._now[route.key] = route
        return PlannedStep(ReplaceRoute(route), (ReplaceRoute(before) if before else DeleteRoute(route),))

    def _delete(self, routes: Iterator[Route]) -> Iterator[PlannedStep]:
        for route in routes:
            del self._now[route.key]
            yield PlannedStep(DeleteRoute(route), (ReplaceRoute(route),))


def _leads_to(route: Route, addresses: Collection[Address]) -> bool:
    destination = route.destination
    if destination is None or destination.prefixlen != destination.max_prefixlen:
        return False
    return destination.network_address in addresses
