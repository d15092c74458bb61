"""The one place that puts src/ on the path.

The modules here are run as scripts and import each other by bare name. Whoever imports them from elsewhere (server.py, the tests)
says ``import src`` first and then imports the same bare names, so no module is ever loaded under two names.
"""

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
if _HERE not in sys.path:
    sys.path.insert(0, _HERE)
