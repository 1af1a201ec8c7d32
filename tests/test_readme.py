"""Tests of what the README promises: its commands are the ones that work, and what it points to is there."""

import os
import re
import shlex
from pathlib import Path

import pytest
import typer

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
START = "pip install -r requirements.txt && streamlit run streamlit_app.py"
TEST = "pip install -r tests/requirements.txt && pytest"
# Typer carries its own copy of click; this is its root of wrong options.
USAGE_ERROR = typer.BadParameter.__bases__[0]
ATTRIBUTION = (
    "HAM10000 Dataset: (c) by ViDIR Group, Department of Dermatology, Medical University of Vienna; "
    "https://doi.org/10.1038/sdata.2018.161"
)


def command_lines(text: str) -> list[str]:
    """Return the lines of all fenced blocks of shell commands, continued lines joined."""
    blocks = re.findall(r"^```(?:bash|sh|shell|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ").strip() for line in lines if line.strip()]


TRAINER_COMMANDS = [line for line in command_lines(README) if line.startswith("python -m train")]


def understand(line: str) -> tuple[str, dict[str, object]]:
    """Return the trainer's subcommand and its options as its own command line reads them.

    Only names are checked, not whether the folders named in an example are here.
    """
    # Imported here: it brings torch.
    from train.__main__ import app

    command = typer.main.get_command(app)
    words = shlex.split(line, comments=True)[3:]
    name = []
    while commands := getattr(command, "commands", None):
        assert words, f"{line!r} names no subcommand"
        assert words[0] in commands, f"{line!r}: expected one of {sorted(commands)}"
        name.append(words.pop(0))
        command = commands[name[-1]]
    context = typer.Context(command, info_name=" ".join(name))
    options, rest, _ = command.make_parser(context).parse_args(words)
    assert not rest, f"{line!r} has {rest} too much"
    needed = {one.name for one in command.params if one.required}
    lacking = [one for one in needed if options.get(one) in (None, "", [], ())]
    assert not lacking, f"{line!r} lacks {lacking}"
    return " ".join(name), options


def test_the_two_commands_come_first():
    assert command_lines(README)[:2] == [START, TEST]
    assert README.index(TEST) < README.index("\n## ")


def test_ci_runs_the_command_of_the_readme():
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"test_command='{TEST}'" in script
    assert 'bash -c "$test_command"' in script
    assert "LESIONLENS_REQUIRE=real_data,browser" in script


def test_ci_can_be_started():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_tests_install_what_the_app_needs():
    lines = (ROOT / "tests" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert next(line for line in lines if not line.startswith("#")) == "-r ../requirements.txt"


@pytest.mark.parametrize(
    "subcommand", ["fit", "resume", "evaluate", "compare", "score", "prepare", "pull", "publish"]
)
def test_the_readme_shows_each_command_of_the_trainer(subcommand):
    assert any(line.split()[3] == subcommand for line in TRAINER_COMMANDS)


@pytest.mark.parametrize("line", TRAINER_COMMANDS, ids=lambda line: "-".join(line.split()[3:5]))
def test_the_trainer_understands_the_command(line):
    name, options = understand(line)
    if name == "fit":
        recipes = {path.stem for path in (ROOT / "train" / "recipes").glob("*.toml")}
        assert options["recipe"] in recipes


@pytest.mark.parametrize(
    "line",
    [
        "python -m train",
        "python -m train dance",
        "python -m train fit --data somewhere",
        "python -m train fit quick --data somewhere --colour blue",
        "python -m train fit quick slow --data somewhere",
    ],
)
def test_a_command_that_the_trainer_does_not_have_is_noticed(line):
    with pytest.raises((AssertionError, USAGE_ERROR)):
        understand(line)


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_file_that_a_document_links_to_is_there(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text)
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_readme_gives_the_datasets_attribution_and_licence():
    assert ATTRIBUTION in README
    assert "CC BY-NC 4.0" in README


def test_the_readme_says_that_this_is_not_a_medical_device():
    assert re.search(r"not a medical device", README, re.IGNORECASE)


def test_the_licence_is_the_whole_apache_licence():
    licence = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence
