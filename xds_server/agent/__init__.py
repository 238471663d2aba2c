"""
The agent of a node: keeps the node's datapath equal to what the control plane says of the node.

``feed`` receives, ``inputs`` joins what is received with what only the node knows, ``keeper`` makes the
kernel hold it, ``watch`` tells when somebody else has changed the kernel, ``agent`` joins them. What was
held last is ``kept`` on disk.
"""
