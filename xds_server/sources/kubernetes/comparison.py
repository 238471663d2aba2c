"""What is held, held against a list of exactly the same version."""

from xds_server.objects.kubernetes import KubernetesObject
from xds_server.sources.kubernetes.decode import Batch
from xds_server.sources.kubernetes.rows import Rows


class Comparison:
    """
    Begun when rows and version agree; what events name from then on is not compared.

    One at a time for each kind.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._touched: set[str] = set()
        self._listed: set[str] = set()
        self._missed: dict[str, KubernetesObject | None] = {}
        rows.touched = self._touched

    def receive(self, batch: Batch) -> None:
        """Take a page of the list."""
        held = self._rows.source
        self._listed.update(batch.problems)
        for key, item in batch.rows:
            self._listed.add(key)
            if key not in self._touched and held.get(key) != item:
                self._missed[key] = item

    async def mend(self) -> int:
        """After the last page: put right what was missed; return how many objects that were."""
        for key in self._rows.source:
            if key not in self._listed:
                self._missed[key] = None
        missed = {key: item for key, item in self._missed.items() if key not in self._touched}
        self.end()
        await self._rows.mend(missed)
        return len(missed)

    def end(self) -> None:
        """Compare no more."""
        self._rows.touched = None
