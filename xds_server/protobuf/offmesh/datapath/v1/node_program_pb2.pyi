from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NodeProgram(_message.Message):
    __slots__ = ("node", "role", "addresses", "peers", "pod_cidrs", "ztunnel", "pods", "options", "uplink", "pod_gateway")
    class Role(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        ROLE_UNSPECIFIED: _ClassVar[NodeProgram.Role]
        CPU: _ClassVar[NodeProgram.Role]
        DPU: _ClassVar[NodeProgram.Role]
        SINGLE: _ClassVar[NodeProgram.Role]
    ROLE_UNSPECIFIED: NodeProgram.Role
    CPU: NodeProgram.Role
    DPU: NodeProgram.Role
    SINGLE: NodeProgram.Role
    NODE_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    PEERS_FIELD_NUMBER: _ClassVar[int]
    POD_CIDRS_FIELD_NUMBER: _ClassVar[int]
    ZTUNNEL_FIELD_NUMBER: _ClassVar[int]
    PODS_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    UPLINK_FIELD_NUMBER: _ClassVar[int]
    POD_GATEWAY_FIELD_NUMBER: _ClassVar[int]
    node: str
    role: NodeProgram.Role
    addresses: _containers.RepeatedScalarFieldContainer[bytes]
    peers: _containers.RepeatedCompositeFieldContainer[Peer]
    pod_cidrs: _containers.RepeatedCompositeFieldContainer[Cidr]
    ztunnel: Ztunnel
    pods: _containers.RepeatedCompositeFieldContainer[MeshedPod]
    options: Options
    uplink: str
    pod_gateway: bytes
    def __init__(self, node: _Optional[str] = ..., role: _Optional[_Union[NodeProgram.Role, str]] = ..., addresses: _Optional[_Iterable[bytes]] = ..., peers: _Optional[_Iterable[_Union[Peer, _Mapping]]] = ..., pod_cidrs: _Optional[_Iterable[_Union[Cidr, _Mapping]]] = ..., ztunnel: _Optional[_Union[Ztunnel, _Mapping]] = ..., pods: _Optional[_Iterable[_Union[MeshedPod, _Mapping]]] = ..., options: _Optional[_Union[Options, _Mapping]] = ..., uplink: _Optional[str] = ..., pod_gateway: _Optional[bytes] = ...) -> None: ...

class Options(_message.Message):
    __slots__ = ("tunnel_type", "capture_dns")
    class TunnelType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        GENEVE: _ClassVar[Options.TunnelType]
        VXLAN: _ClassVar[Options.TunnelType]
    GENEVE: Options.TunnelType
    VXLAN: Options.TunnelType
    TUNNEL_TYPE_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_DNS_FIELD_NUMBER: _ClassVar[int]
    tunnel_type: Options.TunnelType
    capture_dns: bool
    def __init__(self, tunnel_type: _Optional[_Union[Options.TunnelType, str]] = ..., capture_dns: _Optional[bool] = ...) -> None: ...

class Peer(_message.Message):
    __slots__ = ("node", "addresses", "holds")
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    HOLDS_FIELD_NUMBER: _ClassVar[int]
    node: str
    addresses: _containers.RepeatedScalarFieldContainer[bytes]
    holds: bool
    def __init__(self, node: _Optional[str] = ..., addresses: _Optional[_Iterable[bytes]] = ..., holds: _Optional[bool] = ...) -> None: ...

class Cidr(_message.Message):
    __slots__ = ("address", "length")
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    address: bytes
    length: int
    def __init__(self, address: _Optional[bytes] = ..., length: _Optional[int] = ...) -> None: ...

class Ztunnel(_message.Message):
    __slots__ = ("uid", "node", "addresses", "ready")
    UID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    uid: str
    node: str
    addresses: _containers.RepeatedScalarFieldContainer[bytes]
    ready: bool
    def __init__(self, uid: _Optional[str] = ..., node: _Optional[str] = ..., addresses: _Optional[_Iterable[bytes]] = ..., ready: _Optional[bool] = ...) -> None: ...

class MeshedPod(_message.Message):
    __slots__ = ("uid", "node", "addresses")
    UID_FIELD_NUMBER: _ClassVar[int]
    NODE_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    uid: str
    node: str
    addresses: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, uid: _Optional[str] = ..., node: _Optional[str] = ..., addresses: _Optional[_Iterable[bytes]] = ...) -> None: ...

class PodRanges(_message.Message):
    __slots__ = ("ranges",)
    RANGES_FIELD_NUMBER: _ClassVar[int]
    ranges: _containers.RepeatedCompositeFieldContainer[PodRange]
    def __init__(self, ranges: _Optional[_Iterable[_Union[PodRange, _Mapping]]] = ...) -> None: ...

class PodRange(_message.Message):
    __slots__ = ("node", "pod_cidrs", "addresses", "dpu_addresses")
    NODE_FIELD_NUMBER: _ClassVar[int]
    POD_CIDRS_FIELD_NUMBER: _ClassVar[int]
    ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    DPU_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    node: str
    pod_cidrs: _containers.RepeatedCompositeFieldContainer[Cidr]
    addresses: _containers.RepeatedScalarFieldContainer[bytes]
    dpu_addresses: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, node: _Optional[str] = ..., pod_cidrs: _Optional[_Iterable[_Union[Cidr, _Mapping]]] = ..., addresses: _Optional[_Iterable[bytes]] = ..., dpu_addresses: _Optional[_Iterable[bytes]] = ...) -> None: ...
