"""Everything that touches Pyro4: the wire, daemons, channels, the name server, and what makes a process of them."""

import sys

try:
    import Pyro4  # noqa: F401
except ValueError as error:  # it reads its settings from the environment when it is imported
    print(f"error: a PYRO_ variable in the environment has a wrong value: {error}", file=sys.stderr)
    sys.exit(2)
