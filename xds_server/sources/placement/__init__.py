"""
The placement map from ``cluster-conf.yaml``.

``source`` keeps the registry equal to the file; ``parse`` turns its text into a map or into all that
is wrong with it, line by line: ``yaml_*`` read shapes with their lines, ``node_*`` hold the rules.
"""
