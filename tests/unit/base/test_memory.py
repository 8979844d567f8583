"""What arrays have freed is there for the next ones: counted in pages that the system has to make."""

import platform
import subprocess
import sys

import pytest

ARRAYS = """
import resource
import sys
import numpy as np
from shadow_deployment.base.memory import keep_freed

if sys.argv[1] == "keep":
    keep_freed()

def work():
    for _ in range(100):
        many = [np.ones(1 << 17) for _ in range(8)]

work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library is left as it is")
def test_pages_of_arrays_are_made_once() -> None:
    made, kept = (
        int(subprocess.run([sys.executable, "-c", ARRAYS, how], stdout=subprocess.PIPE, check=True).stdout)
        for how in ("give back", "keep")
    )
    assert kept < made / 10
