"""Tokens that the kubelet renews on disk."""

from pathlib import Path


def read_token(path: Path) -> str:
    """
    Return the token in a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is none: no header could hold it.

    """
    token = path.read_text(encoding="ascii").strip()
    if not token or not token.isprintable():
        raise ValueError("expected a token on one line")
    return token
