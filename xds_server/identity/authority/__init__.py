"""
The certificate authority's material: which key signs, which roots are trusted, and when that changes.

``material`` reads and checks a set of files, ``self_made`` makes one, ``rotation`` decides (purely)
when a new one signs, ``store`` says where sets live and ``folder`` is that on disk; ``authority``
holds it all together. Leaves are signed elsewhere.
"""
