"""
Signing: what becomes of a certificate signing request.

It waits in a fair, bounded queue, then a child process reads it, takes its public key and nothing
else, and signs our own template for it. Neither an elliptic curve nor a stranger's ASN.1 is ever
worked on by the process that serves streams.
"""
