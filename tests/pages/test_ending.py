"""The process is the server's to leave, and nobody else's."""

import subprocess
import sys

import pytest

from core.settings import REPOSITORY


@pytest.mark.parametrize("code", [0, 3])
def test_who_only_tests_a_page_keeps_the_exit_code(code):
    program = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file('streamlit_app.py')\n"
        "assert not app.run(timeout=60).exception\n"
        f"sys.exit({code})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
