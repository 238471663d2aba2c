"""
Policies: what a ztunnel enforces, made of AuthorizationPolicies and PeerAuthentications (facts wds, 5).

One rule decides all doubt: what cannot be read is taken the way that denies. In a DENY a condition
that cannot be read is met, in an ALLOW it is not; a policy that cannot be read at all denies whatever
it may have been meant for. None is ever left out, because a policy that is missing permits.
"""
