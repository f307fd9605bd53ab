"""Names and addresses of computers."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach a server that is bound to the host."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
