"""
The way to a Kubernetes API server: its address and credentials, calls, answers and their faults.

What is asked there stands with those who ask: ``sources.kubernetes``, ``identity``, ``leadership``.
"""
