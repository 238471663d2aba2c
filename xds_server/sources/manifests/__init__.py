"""
Kubernetes objects from manifest files.

``source`` keeps the registry equal to the files; ``reading`` reads one, ``decode`` finds the objects
in its text, ``holdings`` remembers what each file holds, ``definitions`` settles who defines what.
"""
