"""Everything that touches Pyro4: its message format, connections, daemons, channels, the name server, and who may connect.

Start with ``wire``, which draws the message format; then ``daemon`` for incoming calls, ``channel`` for outgoing ones.
"""

import sys

try:
    import Pyro4  # noqa: F401
except ValueError as error:  # Pyro4 reads its settings from the environment when it is imported
    print(f"error: a PYRO_ variable in the environment has a wrong value: {error}", file=sys.stderr)
    sys.exit(2)
