"""One migration at a time in this process, ours or MLflow's.

Alembic keeps the context of a running migration in its modules' globals, so that two threads that
migrate two databases take each other's away (`KeyError: 'script'`).
"""

import threading

ALEMBIC_LOCK = threading.RLock()
