"""A module that starts a thread when it is imported, for the tests of the sandbox. Not a test module."""

import threading
import time

threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
