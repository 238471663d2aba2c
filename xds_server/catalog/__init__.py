"""
The catalog: what is served now, as bytes with versions, and a numbered log of what changed.

It knows resources, not pods: ``resource`` frames one message, ``encode`` joins framed ones to
responses, ``changes`` numbers them, ``lookup`` finds addresses by alias, service and node,
``policies`` tells what of a policy must come before the addresses and what after.
"""
