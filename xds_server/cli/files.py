"""Where the placement map is looked for when no flag says so."""

from pathlib import Path

from xds_server.exceptions import InputError

PLACES = (Path("cluster-conf.yaml"), Path("/etc/offmesh/cluster-conf.yaml"))


def find_cluster_conf(given: Path | None) -> Path:
    """
    Return the path of the placement map.

    Raises:
        InputError: none is given and none is where it is looked for.

    """
    if given is not None:
        return given
    for place in PLACES:
        if place.exists():
            return place
    looked = " nor ".join(str(place) for place in PLACES)
    raise InputError(f"--cluster-conf: not given, and neither {looked} exists")
