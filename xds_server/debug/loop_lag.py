"""How late the event loop runs what is due: the first sign that something holds it up."""

from collections.abc import Awaitable, Callable

_EVERY_SECONDS = 0.1


async def measure_lag(
    observe: Callable[[float], None],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[object]],
) -> None:
    """Observe, for ever, by how many seconds a short sleep was too long."""
    while True:
        due = clock() + _EVERY_SECONDS
        await sleep(_EVERY_SECONDS)
        observe(max(clock() - due, 0.0))
