"""Which addresses the containers' network gets."""

from __future__ import annotations

import json
from ipaddress import IPv4Network

import pytest

from drctl.engines import docker
from drctl.engines.subnet import Route, choose_subnet, parse_routes
from drctl.errors import UnavailableError

# As Linux shows it: default route, a home network, a company's network through a tunnel, a whole half of all addresses.
TABLE = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t000010AC\t00000000\t0001\t0\t0\t0\t0000F0FF\t0\t0\t0
tun0\t00000080\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0
"""
TUNNEL = Route(IPv4Network("172.16.0.0/12"), "tun0")


def test_routes_as_the_kernel_shows_them():
    assert list(parse_routes(TABLE)) == [Route(IPv4Network("192.168.1.0/24"), "eth0"), TUNNEL]


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        ([], "172.18.0.0/16"),
        (["172.18.0.0/16", "172.19.5.0/24"], "172.20.0.0/16"),
        (["172.16.0.0/12"], "192.168.0.0/20"),
        (["172.16.0.0/12", "192.168.0.0/16"], "10.200.0.0/16"),
    ],
)
def test_a_network_that_nobody_uses_is_chosen(taken, chosen):
    assert choose_subnet(map(IPv4Network, taken)) == IPv4Network(chosen)


def test_no_network_is_left():
    with pytest.raises(UnavailableError, match="no private network is left for containers") as caught:
        choose_subnet(map(IPv4Network, ["172.16.0.0/12", "192.168.0.0/16", "10.0.0.0/8"]))
    assert caught.value.problems[0].fix == "docker network create --subnet NETWORK sagemaker-local"


NETWORK = {"Id": "abcdef0123456789", "Options": {}, "IPAM": {"Config": [{"Subnet": "172.18.0.0/16"}]}}
OWN = Route(IPv4Network("172.18.0.0/16"), "br-abcdef012345")


@pytest.mark.parametrize(
    ("routes", "containers", "commands"),
    [
        ([OWN], {}, []),
        ([OWN, TUNNEL], {"c": {}}, []),  # in use: left as it is
        ([OWN, TUNNEL], {}, ["network rm net", "network create --subnet 192.168.0.0/20 net"]),
    ],
)
def test_a_network_that_clashes_with_a_route_is_made_anew(tmp_path, monkeypatch, routes, containers, commands):
    facts = json.dumps([{**NETWORK, "Scope": "local", "Containers": containers}])
    program = tmp_path / "docker"
    program.write_text(f"""#!/bin/sh
case "$2" in
  inspect) cat <<'END'
{facts}
END
  ;;
  ls) echo net ;;
esac
""")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(docker, "host_routes", lambda: routes)
    shown = []
    docker.ensure_network("net", shown.append)
    assert shown == [f"docker {command}" for command in commands]
