"""Istio's ServiceEntry and WorkloadEntry, reduced to the fields this program reads."""

from typing import Annotated, Literal

import msgspec

from xds_server.objects.kubernetes import DatedObject, Part, PortNumber

Resolution = Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]
Weight = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]


class WorkloadEntrySpec(Part, frozen=True):
    """A workload that is no pod: also what an inline endpoint of a ServiceEntry is."""

    address: str | None = None
    ports: dict[str, PortNumber] | None = None
    labels: dict[str, str] | None = None
    network: str | None = None
    locality: str | None = None
    weight: Weight | None = None
    service_account: str | None = None


class WorkloadEntry(DatedObject, frozen=True):
    spec: WorkloadEntrySpec = WorkloadEntrySpec()

    @property
    def effective_labels(self) -> dict[str, str] | None:
        """Labels of the spec under those of the object; None where neither has any."""
        own = self.metadata.labels
        return own if self.spec.labels is None else {**self.spec.labels, **(own or {})}


class ServiceEntryPort(Part, frozen=True):
    number: PortNumber
    name: str | None = None
    protocol: str | None = None
    target_port: PortNumber | None = None


class WorkloadSelector(Part, frozen=True):
    labels: dict[str, str] | None = None


class ServiceEntrySpec(Part, frozen=True):
    hosts: tuple[str, ...] | None = None
    addresses: tuple[str, ...] | None = None
    ports: tuple[ServiceEntryPort, ...] | None = None
    resolution: Resolution | None = None
    endpoints: tuple[WorkloadEntrySpec, ...] | None = None
    workload_selector: WorkloadSelector | None = None
    subject_alt_names: tuple[str, ...] | None = None


class HostAddress(Part, frozen=True):
    """An address that another controller has allocated to a host."""

    value: str = ""
    host: str | None = None


class ServiceEntryStatus(Part, frozen=True):
    addresses: tuple[HostAddress, ...] | None = None


class ServiceEntry(DatedObject, frozen=True):
    spec: ServiceEntrySpec = ServiceEntrySpec()
    status: ServiceEntryStatus = ServiceEntryStatus()
