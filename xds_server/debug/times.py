"""Times as operators read them: RFC 3339 in UTC."""

from datetime import UTC, datetime


def time_text(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_text(seconds: float | None) -> str | None:
    """Return the time of seconds since the epoch, None for what never was."""
    return time_text(datetime.fromtimestamp(seconds, UTC)) if seconds else None
