"""Whether this machine lets a thread choose how it is scheduled: not all sandboxes do."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.app.event_loop import be_patient


def _may_be_patient() -> bool:
    with ThreadPoolExecutor(1) as pool:  # a thread of its own: ours stays as it is
        try:
            pool.submit(be_patient, True).result()
        except (OSError, AttributeError):  # forbidden here, or not Linux
            return False
    return True


needs_patience = pytest.mark.skipif(
    not _may_be_patient(), reason="no thread may choose SCHED_BATCH on this machine"
)
