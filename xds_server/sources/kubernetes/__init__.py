"""
Objects from a Kubernetes API server, listed and watched into the registry.

``kinds`` says what is asked for, ``decode`` reads pages and watch lines, ``rows`` puts them into
collections, ``reflector`` keeps one kind current, ``source`` runs one for each kind.
"""
