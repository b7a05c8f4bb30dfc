"""What goes wrong, said to a person: what, where, and what to do. The command line prints these in one line, exit 2."""


class ShipperError(Exception):
    """The base of every error that this package raises on purpose."""


class ConfigurationError(ShipperError):
    """A setting, an argument or a configuration file holds something that cannot be used."""


class StoreError(ShipperError):
    """The log store cannot be opened, read or written."""


class StoreLockedError(StoreError):
    """Another process writes the log store."""


class QueryError(ShipperError):
    """A query asks for something that is malformed or not in the supported subset."""


class StackError(ShipperError):
    """The stack cannot be started, stopped or provisioned."""
