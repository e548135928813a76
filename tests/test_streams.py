"""What a command's help and its refusals do where standard output or error are closed, full or not read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import gaze

ROOT = Path(gaze.__file__).parents[1]
VERBS = ("crop", "prepare", "train", "prune", "prefer", "teach", "evaluate", "export", "latency")
FULL = "standard output: cannot be written (No space left on device)\n"


def run(verb: str, *arguments: str, end: str = "", unbuffered: bool = False) -> "subprocess.CompletedProcess[str]":
    """Runs a verb in a shell, with redirections at its end; the exit code is the verb's."""
    command = [sys.executable, "-m", f"gaze.{verb}", *arguments]
    own = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1" if unbuffered else ""}
    return subprocess.run(
        ["/bin/sh", "-c", f'"$@" {end}', "sh", *command], env=own, capture_output=True, text=True, check=False
    )


def unread(verb: str, *arguments: str) -> tuple[int, str]:
    """Exit code and errors of a verb whose reader left before it wrote."""
    reading, writing = os.pipe()
    os.close(reading)
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", f"gaze.{verb}", *arguments]
    done = subprocess.run(command, env=own, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    return done.returncode, done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_help_that_nobody_reads_ends_without_a_word(verb: str):
    assert unread(verb, "--help") == (1, "")


@pytest.mark.parametrize("verb", VERBS)
def test_help_that_cannot_be_written_is_one_line(verb: str):
    done = run(verb, "--help", end="> /dev/full", unbuffered=verb == "train")
    assert (done.returncode, done.stderr) == (1, f"gaze.{verb}: {FULL}")


@pytest.mark.parametrize("option", ["--help-all", "--version"])
def test_the_other_help_of_crop_too(option: str):
    assert unread("crop", option) == (1, "")
    assert run("crop", option, end="> /dev/full").stderr == f"gaze.crop: {FULL}"


def test_what_hydra_prints_too():
    assert unread("train", "--cfg", "job") == (1, "")
    assert run("train", "--cfg", "job", end="> /dev/full").stderr == f"gaze.train: {FULL}"


@pytest.mark.parametrize("verb", ["crop", "train"])
def test_streams_that_are_closed(verb: str):
    assert run(verb, "--help", end=">&-").returncode == 0
    whole, closed = run(verb, "--help"), run(verb, "--help", end="2>&-")
    assert (closed.returncode, closed.stdout) == (0, whole.stdout)
    assert closed.stdout


@pytest.mark.parametrize("end", ["2>&-", "2> /dev/full"])
@pytest.mark.parametrize("verb", ["crop", "train"])
def test_a_refusal_that_nobody_can_be_told_of_keeps_its_exit_code_and_stays_out_of_the_output(verb: str, end: str):
    done = run(verb, *(["--nonsense"] if verb == "crop" else ["nonsense=1"]), end=end)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def test_a_verb_loads_no_torch_before_it_works():
    verbs = ", ".join(f"gaze.{verb}" for verb in VERBS)
    code = f"import sys, {verbs}; print({{'torch', 'timm', 'pytorch_lightning', 'onnxruntime'}} & set(sys.modules))"
    own = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=own, capture_output=True, text=True).stdout == "set()\n"
