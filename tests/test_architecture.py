"""Tests of the house itself: who may import whom, what may lie where, and what is never loaded."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# streamlit_app, pages -> pages/ui -> core; train -> core; core -> nothing here. Nobody imports the tests.
FORBIDDEN = {
    "core": ("streamlit", "streamlit_app", "pages", "train", "tests"),
    "train": ("streamlit", "streamlit_app", "pages", "tests"),
    "pages": ("torch", "torchvision", "timm", "accelerate", "train", "streamlit_app", "tests"),
    "streamlit_app.py": ("torch", "torchvision", "timm", "accelerate", "train", "tests"),
}

# What can run code when it is read.
PICKLERS = ("pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal")
UNPICKLING_CALLS = ("read_pickle", "to_pickle", "torch.jit.load", "torch.hub.load")

DATASET_PICTURE = re.compile(r"(ISIC_\d{7}|PAT_\d+_\d+_\d+).*\.(jpe?g|png)", re.IGNORECASE)
# They import torch's compiler unless `core.libraries` keeps it out; the trainer does not mind.
COMPILING = ("timm", "torchvision", "segmentation_models_pytorch", "pytorch_grad_cam")

PICKLE_FILE = re.compile(r".*\.(pth|pt|bin|ckpt|pkl|pickle|joblib)", re.IGNORECASE)


def project_files() -> Iterator[Path]:
    """Yield every file of the project: not the folders git ignores, virtual environments, hidden folders."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    folders = [ROOT]
    while folders:
        for entry in sorted(folders.pop().iterdir()):
            if not entry.is_dir():
                yield entry
            elif not (
                # As in git: a leading slash means the project's own root, so core/runs is not the runs.
                f"{entry.name}/" in ignored
                or f"/{entry.relative_to(ROOT)}/" in ignored
                or (entry.name.startswith(".") and entry.name not in (".ci", ".streamlit"))
                or (entry / "pyvenv.cfg").is_file()
            ):
                folders.append(entry)


MODULES = {str(path.relative_to(ROOT)): path for path in project_files() if path.suffix == ".py"}


def imports(source: str, *, package: str = "") -> Iterator[tuple[int, str]]:
    """Yield line and full name of all that a module imports, wherever in it, also by import_module."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                origin = ".".join([*parents, *([module] if module else [])])
                yield from ((node.lineno, f"{origin}.{alias.name}") for alias in names)
            case ast.Call(func=function, args=[ast.Constant(value=str(name)), *_]):
                if ast.unparse(function).split(".")[-1] in ("import_module", "__import__"):
                    yield node.lineno, name


def imports_of(file: str) -> Iterator[tuple[int, str]]:
    package = ".".join(Path(file).parent.parts)
    return imports(MODULES[file].read_text(encoding="utf-8"), package=package)


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def unpickling(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and words of all that could unpickle what it reads."""
    for line, module in imports(source):
        if any(is_within(module, pickler) for pickler in PICKLERS) or module == "torch.load":
            yield line, f"import of {module}"
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {option.arg: ast.unparse(option.value) for option in node.keywords}
        if called == "torch.load" and options.get("weights_only") != "True":
            yield node.lineno, "torch.load without weights_only=True"
        if options.get("allow_pickle", "False") != "False":
            yield node.lineno, f"{called} with allow_pickle"
        if any(called == name or called.endswith(f".{name}") for name in UNPICKLING_CALLS):
            yield node.lineno, called


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ("import torch", "torch"),
        ("import torch.nn as nn", "torch.nn"),
        ("from torch import nn", "torch.nn"),
        ("def late():\n    import train.loop", "train.loop"),
        ("import importlib\nimportlib.import_module('train')", "train"),
        ("from importlib import import_module\nimport_module('pages.ui.frame', None)", "pages.ui.frame"),
        ("__import__('pickle')", "pickle"),
        ("from . import charts", "pages.ui.charts"),
        ("from .charts import bar", "pages.ui.charts.bar"),
        ("from ..train import step", "pages.train.step"),
    ],
)
def test_no_way_of_importing_is_overlooked(source, module):
    assert module in [name for _, name in imports(source, package="pages.ui")]


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "def late():\n    import cloudpickle as harmless",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=trusted)",
        "from torch import load",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "table.to_pickle(path)",
    ],
)
def test_no_way_of_unpickling_is_overlooked(source):
    assert list(unpickling(source))


@pytest.mark.parametrize(
    "source", ["torch.load(path, weights_only=True)", "np.load(path)", "json.load(file)"]
)
def test_safe_ways_of_loading_are_not_mistaken(source):
    assert not list(unpickling(source))


def test_no_folder_of_the_project_is_overlooked():
    assert {"core/runs/__init__.py", "train/__init__.py", "tests/conftest.py"} <= set(MODULES)


@pytest.mark.parametrize("part", FORBIDDEN)
def test_imports_follow_the_arrows(part):
    files = [file for file in MODULES if Path(file).parts[0] == part]
    assert files, f"{part} holds no module"
    assert [
        f"{file}:{line} imports {module}"
        for file in files
        for line, module in imports_of(file)
        if any(is_within(module, forbidden) for forbidden in FORBIDDEN[part])
    ] == []


def test_nobody_imports_a_page_script():
    assert [
        f"{file}:{line} imports {module}"
        for file in MODULES
        for line, module in imports_of(file)
        if is_within(module, "streamlit_app")
        or (module.startswith("pages.") and not is_within(module, "pages.ui"))
    ] == []


def test_only_page_scripts_lie_directly_in_pages():
    entries = {entry.name for entry in (ROOT / "pages").iterdir() if entry.name != "__pycache__"}
    scripts = {name for name in entries if re.fullmatch(r"[a-z][a-z_]*\.py", name)}
    assert entries - scripts == {"ui"}
    assert scripts >= {"explore.py", "train.py", "predict.py", "compare.py"}


# Predict is not here: it may load its checkpoint while the visitor still looks for a picture.
@pytest.mark.parametrize("page", ["", "pages/explore.py", "pages/train.py", "pages/compare.py"])
def test_the_first_page_is_painted_without_importing_torch(page):
    paint = (
        "import sys\n"
        "from streamlit.testing.v1 import AppTest\n"
        "app = AppTest.from_file(sys.argv[1], default_timeout=60)\n"
        "app = app.switch_page(sys.argv[2]) if sys.argv[2] else app\n"
        "app.run()\n"
        "assert not app.exception, [problem.message for problem in app.exception]\n"
        "assert len(app.main) > 0, 'nothing was painted'\n"
        "heavy = {'torch', 'torchvision', 'timm', 'accelerate', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, f'the first page imported {sorted(heavy)}'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", paint, str(ROOT / "streamlit_app.py"), page],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("file", MODULES)
def test_a_module_never_unpickles(file):
    found = unpickling(MODULES[file].read_text(encoding="utf-8"))
    assert [f"{file}:{line}: {words}" for line, words in found] == []


@pytest.mark.parametrize("file", [file for file in MODULES if file.startswith("pages/")])
def test_a_page_saves_tables_only_by_the_writer_that_guards_them(file):
    # A table's own method would write what a spreadsheet runs as a formula.
    assert re.findall(r"\w\.to_csv\(", MODULES[file].read_text(encoding="utf-8")) == []


def compiling(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of what imports torch's compiler, but for what keeps it out."""
    tree = ast.parse(source)
    kept_out = {
        inner.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and "without_compiler()" in map(ast.unparse, node.items)
        for inner in node.body
    }
    for line, module in imports(source):
        if line not in kept_out and any(is_within(module, heavy) for heavy in COMPILING):
            yield line, module


@pytest.mark.parametrize("file", [file for file in MODULES if file.startswith("core/")])
def test_core_imports_libraries_without_the_compiler(file):
    assert list(compiling(MODULES[file].read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import timm", [(1, "timm")]),
        ("from torchvision.transforms import v2", [(1, "torchvision.transforms.v2")]),
        ("with without_compiler():\n    import timm", []),
        ("with open(file):\n    import timm", [(2, "timm")]),
    ],
)
def test_no_import_of_the_compiler_is_overlooked(source, found):
    assert list(compiling(source)) == found


@pytest.mark.parametrize("file", MODULES)
def test_a_module_opens_with_its_purpose(file):
    assert ast.get_docstring(ast.parse(MODULES[file].read_text(encoding="utf-8"))), f"{file} has no docstring"


def test_no_picture_of_a_dataset_lies_in_the_project():
    found = [str(path.relative_to(ROOT)) for path in project_files() if DATASET_PICTURE.fullmatch(path.name)]
    assert found == [], "keep datasets outside the project's folder: their licences are not ours to give"


def test_no_pickle_lies_in_the_project():
    found = [str(path.relative_to(ROOT)) for path in project_files() if PICKLE_FILE.fullmatch(path.name)]
    assert found == [], "weights lie in safetensors, which cannot run code"


def test_what_is_bundled_stays_small():
    bundled = sum(path.stat().st_size for path in (ROOT / "core" / "bundled").rglob("*") if path.is_file())
    assert bundled <= 30 * 2**20
