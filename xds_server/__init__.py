"""offmesh: the control plane of an ambient service mesh whose node proxies run on DPUs."""

__version__ = "0.1.0"
