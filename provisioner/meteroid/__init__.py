"""The Meteroid OAuth-apps API over HTTP: each operation once, each result put into its class."""

from provisioner.meteroid.client import MeteroidApi
from provisioner.meteroid.environment import check_authorities, proxy_of

__all__ = ["MeteroidApi", "check_authorities", "proxy_of"]
