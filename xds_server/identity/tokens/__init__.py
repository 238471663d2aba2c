"""
Proof by token: service-account tokens bound to a pod, of Kubernetes or made here where no cluster is.

Only what a token proves is told here. That its pod still lives, and under the same UID, is for the caller
to ask of the mesh: a signature outlives the pod it was made for.
"""
