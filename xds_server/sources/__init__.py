"""
What fills the source collections: ``manifests`` and the ``placement`` map, both under ``watch``.

Each source keeps its collections equal to what it reads, marks them synced after the first whole
state, and reports what it cannot use. A source never removes what it merely failed to read.
"""
